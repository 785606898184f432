"""An MLflow server of its own, which can be killed, frozen and started again."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from search.service.serving import SETTINGS, answers
from tests.servers import free_port


class TrackingServer:
    """The server over a database and artifacts in ``folder``, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its own address, past the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        self.folder.mkdir(exist_ok=True)
        command = [
            sys.executable, "-m", "mlflow", "server",
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | SETTINGS,
                start_new_session=True,  # a group of its own, which is killed and frozen as one
            )

    def await_answer(self) -> None:
        """Wait until it answers."""
        assert self.process is not None
        while not answers(self.url):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
