import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.processes import Process, send_all, tree


def free_port() -> int:
    """A free port below those that the kernel gives out, so that a server finds it free again.

    Tests that run beside each other take theirs from apart: a server may need seconds to listen.
    """
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 10_000 + 2_000 * (beside % 10)
    while True:
        port = random.SystemRandom().randrange(first, first + 1_900)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Postgres:
    """A PostgreSQL server for tests alone, which can be killed and started again.

    A `durable` one survives that, as a real one would; the others are faster.
    """

    def __init__(self, *, durable: bool) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert found, "the tests need PostgreSQL's server: apt-get install postgresql"
        self.binaries = found[-1]
        self.durable = durable
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gatetune-postgres-"))
        self.data = self.folder / "data"
        # The server refuses to run as root.
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_user:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.run("initdb", "-D", str(self.data), "-U", "gatetune", "-A", "trust", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://gatetune@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        fsync = "on" if self.durable else "off"
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c fsync={fsync}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.data), "-o", options, "-l", log, "-w", "start")

    def kill(self) -> None:
        """End all of its processes at once, as a crash would."""
        lock = self.data / "postmaster.pid"
        family = [p for pid in tree(int(lock.read_text().split()[0])) if (p := Process.read(pid))]
        send_all(family, signal.SIGKILL)
        while any(process.is_alive for process in family):
            time.sleep(0.01)
        # Where nobody fetches an ended process, as in some containers, the server would take it
        # for alive and refuse to start.
        lock.unlink()

    def dump(self, path: Path) -> None:
        """Write all that it holds to a file."""
        with path.open("wb") as file:
            command = [str(self.binaries / "pg_dump"), self.url.replace("+psycopg", "")]
            subprocess.run(command, check=True, stdout=file)

    def remove(self) -> None:
        """Stop it where it runs, and delete all that it has written."""
        with suppress(subprocess.CalledProcessError):
            self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")
        shutil.rmtree(self.folder)


class WebServer:
    """A server on loopback in a process of its own, which answers once it is made.

    Args:
        module: of Python, with the arguments that start it but for the port.
        setting: what its environment has beside this one's.
    """

    def __init__(self, *module: str, setting: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | (setting or {}),
        )
        while not self.answers():
            assert self.process.poll() is None, f"{module[0]} has ended"
            time.sleep(0.05)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            requests.get(self.address, timeout=5)
        except requests.ConnectionError:
            return False
        return True

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class ObjectStore(WebServer):
    """A server that speaks S3; what it holds is lost when it ends."""

    def __init__(self) -> None:
        super().__init__("moto.server", "-H", "127.0.0.1", "-p")

    def url(self, place: str) -> str:
        """Return how settings name a bucket, or what is in it."""
        return f"s3://{place}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def make_bucket(self) -> str:
        """Make a new bucket and return the URL of a folder in it."""
        name = f"bucket-{secrets.token_hex(4)}"
        requests.put(f"{self.address}/{name}", timeout=5).raise_for_status()
        return self.url(f"{name}/checkpoints")

    def objects(self, url: str) -> list[str]:
        """Return the keys in the bucket of a URL; markers of folders end in a slash."""
        listed = requests.get(f"{self.address}/{urlsplit(url).netloc}?list-type=2", timeout=5)
        return re.findall("<Key>(.*?)</Key>", listed.text)
