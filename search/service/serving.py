"""MLflow's server over the state of one installation, on loopback."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import psutil

from search.common.home import Home
from search.common.processes import end_orphans, mark

logger = logging.getLogger("gatetune.service")

HOST = "127.0.0.1"
PORTS_TRIED = 20
START_S = 90.0
"""How long the server may take to answer; its first start migrates the database."""

STARTS = 3
"""How often the server is started at another port, where one was taken before it could listen."""

PATIENCE_S = 5.0
"""How long the server may take to end before it is killed."""

MARK = "GATETUNE_SERVICE"
"""Names, in the environment of MLflow's server, the service that it belongs to."""

SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Without them the server keeps worker processes for language models."""


class ServingError(RuntimeError):
    """The server cannot be started."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, so that nobody takes it meanwhile.

    Raises:
        ServingError: the port cannot be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServingError(
            f"cannot listen on {host}, port {port}: {error.strerror}; --port names another"
        ) from error


def free_port(first: int) -> int:
    """Return the first free port from ``first`` on.

    Raises:
        ServingError: none of the next ports is free.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                continue
            return port
    raise ServingError(f"no free port among {first} to {first + PORTS_TRIED - 1}")


def command(home: Home, port: int, public: str | None) -> list[str]:
    """Return the command line of MLflow's server for an installation.

    Args:
        home: the installation.
        port: where the server listens.
        public: where people's browsers reach it, by a proxy.
    """
    # Without names of its own the server takes any that looks like a private address.
    hosts = [f"{name}{ports}" for name in ("localhost", HOST) for ports in ("", ":*")]
    origins = []
    if public is not None:
        scheme, netloc = origin_of(public)
        hosts.append(netloc)
        origins += ["--cors-allowed-origins", f"{scheme}://{netloc}"]
    hosts += filter(None, [os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS")])
    return [
        sys.executable, "-m", "search.tracking.ownfile",
        str(home.tracking_path), home.artifacts.as_uri(), "server",
        "--host", HOST, "--port", str(port), "--workers", "1",
        "--allowed-hosts", ",".join(hosts), *origins,
        "--backend-store-uri", home.tracking_uri,
        "--default-artifact-root", home.artifacts.as_uri(),
    ]  # fmt: skip


def origin_of(url: str) -> tuple[str, str]:
    """Return scheme and host as a browser sends them: in small letters, without a usual port."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return parts.scheme, f"{parts.hostname}{port}"


def start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start MLflow's server; what it says is added to ``log``."""
    with log.open("a") as stream:
        return subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | SETTINGS | {MARK: mark()},
            # A group of its own, which ends as one: the server has processes of its own.
            start_new_session=True,
        )


def end(server: "subprocess.Popen[bytes]") -> None:
    """End a server and the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE_S)


class TrackingServer:
    """MLflow's server over the state of one installation, started again whenever it has died.

    Args:
        home: the installation.
        port: where it listens, or the next that is free.
        public: where people's browsers reach it, by a proxy.
    """

    def __init__(self, home: Home, port: int, public: str | None = None) -> None:
        self.home = home
        self.port = port
        self.public = public
        self.log = home.path / "logs" / "mlflow-server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def ensure(self) -> None:
        """Start the server unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        from search.tracking.ownfile import prepare

        if self.process is not None:
            logger.warning("MLflow's server ended and is started again; see %s", self.log)
            end(self.process)
        self.log.parent.mkdir(exist_ok=True)
        prepare(self.home)
        self.process = start(command(self.home, self.port, self.public), self.log)

    def begin(self) -> None:
        """Start the server and wait until it answers, at the next port where another took this one.

        Raises:
            ServingError: it ended, or does not answer in time; names its log.
        """
        end_orphans(MARK)
        for _ in range(STARTS):
            self.ensure()
            try:
                self.await_answer()
            except ServingError:
                self.end()
                if (port := free_port(self.port)) == self.port:
                    raise
                logger.warning("port %s was taken meanwhile, so MLflow is at %s", self.port, port)
                self.port = port
            else:
                return
        raise ServingError(f"MLflow's server finds no port; see {self.log}")

    def await_answer(self) -> None:
        """Wait until it answers.

        Raises:
            ServingError: it ended, or does not answer in time; names its log.
        """
        deadline = time.monotonic() + START_S
        while self.process is not None and time.monotonic() < deadline:
            if (code := self.process.poll()) is not None:
                raise ServingError(f"MLflow's server ended with code {code}; see {self.log}")
            if answers(self.url) and listens(self.process.pid, self.port):
                return
            time.sleep(0.2)
        raise ServingError(f"MLflow's server does not answer after {START_S:.0f} s; see {self.log}")

    def trouble(self) -> str | None:
        """Return what is wrong with it just now."""
        if self.process is None or self.process.poll() is not None:
            return f"MLflow's server is down; see {self.log}"
        return None

    def end(self) -> None:
        """End the server and the processes that it started."""
        if self.process is not None:
            end(self.process)
            self.process = None


def answers(url: str) -> bool:
    """Return whether somebody answers at the address of a server."""
    direct = build_opener(ProxyHandler({}))  # whatever proxy leads out of this network
    with suppress(URLError, OSError), direct.open(f"{url}/health", timeout=2):
        return True
    return False


def listens(pid: int, port: int) -> bool:
    """Return whether a process, or one that it started, is who listens at a port.

    Two servers that begin at once find the same port free: one answers, the other is about to end.
    """
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(pid)
        for process in (server, *server.children(recursive=True)):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False
