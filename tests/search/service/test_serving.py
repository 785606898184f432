"""A real MLflow server, as `gatetune up` starts it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from search.common.home import Home
from search.common.processes import marked, namespace
from search.service.service import tracked
from search.service.serving import (
    HOST,
    MARK,
    PORTS_TRIED,
    ServingError,
    TrackingServer,
    answers,
    command,
)
from search.service.serving import free_port as next_free_port
from tests.servers import free_port


@contextmanager
def taken(port: int) -> Iterator[int]:
    """Take a port, 0 for any, and yield its number."""
    with socket.socket() as holder:
        holder.bind((HOST, port))
        holder.listen()
        yield holder.getsockname()[1]


def answer_of(address: str, process: "subprocess.Popen[str]", log: Path) -> int:
    """Return the status with which an address of a process answers, once it does."""
    deadline = time.monotonic() + 200
    while True:
        try:
            with urlopen(address, timeout=10) as answer:  # noqa: S310 - our own
                return int(answer.status)
        except (URLError, TimeoutError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def test_up_takes_the_next_free_ports_answers_and_ends_on_ctrl_c(
    home: Path, tmp_path: Path
) -> None:
    # Far from each other, and below those that the kernel gives to whoever connects meanwhile.
    ports = iter(free_port, None)
    lower = next(ports)
    upper = next(port for port in ports if abs(port - lower) > PORTS_TRIED)
    log = tmp_path / "said.log"
    with taken(lower) as first, taken(upper) as tracking_first, log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "up", "--port", str(first),
             "--mlflow-port", str(tracking_first)],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=os.environ | {"GATETUNE_HOME": str(home)},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            taken_port, service, tracking, state = (process.stdout.readline() for _ in range(4))
            assert f"port {first} is taken" in taken_port
            assert str(home) in state
            addresses = [f"{line.split()[n]}/health" for line, n in ((service, 1), (tracking, 2))]
            for address, port in zip(addresses, (first, tracking_first), strict=True):
                assert port < int(address.split(":")[2].split("/")[0]) < port + PORTS_TRIED
                assert answer_of(address, process, log) == 200
            # A name of anybody's, which looks like a private address.
            foreign = Request(f"http://{HOST}:{addresses[1].split(':')[2].split('/')[0]}/")
            foreign.add_header("Host", "10.attacker.example")
            with pytest.raises(HTTPError, match="403"):
                urlopen(foreign)  # noqa: S310 - our own
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=120)[0] == ""
            assert process.returncode == 0
            for address in addresses:
                with pytest.raises(OSError, match="refused"):
                    urlopen(address)  # noqa: S310 - our own
        finally:
            process.terminate()
            process.communicate()


def test_a_server_elsewhere_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    with tracked(Home.from_environment(), 5000, None) as server:
        assert server is None
    assert not home.exists()


@pytest.mark.parametrize(
    ("public", "host"),
    [
        ("https://MLflow.example/a", "mlflow.example"),
        ("https://mlflow.example:443", "mlflow.example"),
        ("http://mlflow.example:5000/", "mlflow.example:5000"),
    ],
)
def test_a_proxy_may_change_what_it_shows(
    home: Path, monkeypatch: pytest.MonkeyPatch, public: str, host: str
) -> None:
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "tunnel.example")
    words = command(Home.from_environment(), 5000, public)
    allowed = words[words.index("--allowed-hosts") + 1].split(",")
    assert allowed == [
        "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", host, "tunnel.example"
    ]  # fmt: skip
    origin = words[words.index("--cors-allowed-origins") + 1]
    assert origin == f"{public.split(':', maxsplit=1)[0]}://{host}"


def test_no_free_port() -> None:
    with taken(65535), pytest.raises(ServingError, match="no free port among 65535"):
        next_free_port(65535)


FAKE_SERVER = """
import http.server, sys
if {broken}:
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


class TestBegin:
    """The port is found free first, and listened at seconds later."""

    @pytest.fixture
    def server(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
        """A server whose program only answers."""

        def command(_: Home, port: int, __: str | None) -> list[str]:
            return [sys.executable, "-c", FAKE_SERVER.format(port=port, broken=False)]

        monkeypatch.setattr("search.service.serving.command", command)
        monkeypatch.setattr("search.tracking.ownfile.prepare", lambda _: None)
        home.mkdir(parents=True)
        made = TrackingServer(Home.from_environment(), free_port())
        yield made
        made.end()

    def test_another_server_that_was_sooner_is_not_taken_for_it(
        self, server: TrackingServer
    ) -> None:
        wanted = server.port
        other = FAKE_SERVER.format(port=wanted, broken=False)
        with subprocess.Popen([sys.executable, "-c", other]) as sooner:
            try:
                while not answers(server.url):
                    assert sooner.poll() is None
                server.begin()
                assert wanted < server.port < wanted + PORTS_TRIED
                assert answers(server.url)
                assert server.trouble() is None
            finally:
                sooner.kill()

    def test_the_server_of_a_service_that_was_killed_is_ended_by_the_next(
        self, server: TrackingServer
    ) -> None:
        with subprocess.Popen(["true"]) as ended:
            pass
        left = {MARK: f"{ended.pid}:12345:{namespace()}"}
        with subprocess.Popen(["sleep", "300"], env=left) as orphan:
            server.begin()
            assert orphan.wait() == -signal.SIGKILL
        assert server.process is not None
        assert server.process.pid in dict(marked(MARK))

    def test_one_that_ends_at_once_is_reported_with_its_log(
        self, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = FAKE_SERVER.format(port=server.port, broken=True)
        monkeypatch.setattr(
            "search.service.serving.command", lambda *_: [sys.executable, "-c", broken]
        )
        with pytest.raises(ServingError, match=rf"ended with code 3; see {server.log}"):
            server.begin()
        assert server.process is None


def test_a_proxy_that_leads_out_of_the_network_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer((HOST, 0), Healthy) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert answers(f"http://{HOST}:{server.server_port}")
        thread.join()


class Healthy(BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
