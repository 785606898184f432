"""How a supervisor starts drivers, and learns that they ended."""

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from search.home import Home
from search.sharedray import SharedRay

logger = logging.getLogger("gatetune.supervisor")

SAID = 4000
"""Bytes at the end of a driver's log in which its last words are looked for."""


class Driving(Protocol):
    """A driver that was started for a claimed job."""

    def ended(self) -> bool:
        """Whether it has ended, with or without its job."""

    def last_words(self) -> str:
        """Return the last that it said."""

    def interrupt(self) -> None:
        """Ask it to put its job back into the queue and to end."""

    def kill(self) -> None:
        """End it at once; another driver goes on with its job."""


class Drivers(Protocol):
    """Starts drivers."""

    def ready(self) -> None:
        """Make sure that drivers can be started.

        Raises:
            ClusterError: they cannot, now.
        """

    def start(self, job_id: str, claim: str) -> Driving:
        """Start the driver of a claimed job."""

    def close(self) -> None:
        """End what drivers needed."""


@dataclass
class LocalProcess:
    """A driver as a process of this machine."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """Return the last line of its log, and how it ended."""
        with self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - SAID))
            lines = stream.read().decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "nothing"
        return f"{said[:500]} (exit code {self.process.returncode}; see {self.log})"

    def interrupt(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()


@dataclass
class LocalDrivers:
    """Drivers as processes of this machine, on a Ray that they share or on a cluster.

    Args:
        home: the installation.
        ray: started here for all drivers; None where `RAY_ADDRESS` names a cluster.
    """

    home: Home
    ray: SharedRay | None

    def ready(self) -> None:
        """Start the shared Ray, unless it runs."""
        if self.ray is not None:
            self.ray.ensure()

    def start(self, job_id: str, claim: str) -> LocalProcess:
        """Start a driver whose log is `logs/JOB-driver.log` under the home."""
        log = self.home.path / "logs" / f"{job_id}-driver.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GATETUNE_HOME": str(self.home.path)}
        if self.ray is not None:
            environment |= self.ray.environment
        with log.open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "search.drive", job_id, claim],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C in a terminal is the supervisor's to pass on.
                start_new_session=True,
            )
        return LocalProcess(process, log)

    def close(self) -> None:
        """End the shared Ray."""
        if self.ray is not None:
            self.ray.end()


def await_end(driving: list[Driving], patience_s: float) -> None:
    """Wait until all have ended, at most so long; those that have not are killed."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and not all(one.ended() for one in driving):
        time.sleep(0.1)
    for one in driving:
        if not one.ended():
            one.kill()
