"""How a supervisor starts drivers, and learns that they ended."""

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from search.common.home import Home
from search.common.logs import last_words, tail
from search.driver.cluster import ClusterError, check_answers
from search.service.serving import ServingError
from search.service.sharedray import SharedRay

logger = logging.getLogger("gatetune.supervisor")

PATIENCE_S = 60.0
"""How long drivers may take to put their jobs back into the queue when the service ends."""


class Driving(Protocol):
    """A driver that was started for a claimed job."""

    def ended(self) -> bool:
        """Whether it has ended, with or without its job."""

    def last_words(self) -> str:
        """Return the last that it said."""


class Drivers(Protocol):
    """Starts drivers."""

    @property
    def own_ray(self) -> bool:
        """Whether they share a Ray of this machine alone."""

    def ready(self) -> None:
        """Make sure that drivers can be started.

        Raises:
            ClusterError: they cannot, now.
        """

    def start(self, job_id: str, claim: str) -> Driving:
        """Start the driver of a claimed job.

        Raises:
            ClusterError: it cannot be started, now.
        """

    def close(self) -> None:
        """End what cannot outlive the supervisor; jobs that ran go back into the queue."""


@dataclass
class LocalProcess:
    """A driver as a process of this machine."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """Return the last that its log says, and how it ended."""
        said = last_words(tail(self.log))
        return f"{said} (exit code {self.process.returncode}; see {self.log})"


class LocalDrivers:
    """Drivers as processes of this machine, on a Ray that they share or on a cluster.

    Args:
        home: the installation.
        ray: started here for all drivers; None where `RAY_ADDRESS` names a cluster.
    """

    def __init__(self, home: Home, ray: SharedRay | None) -> None:
        self.home = home
        self.ray = ray
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def own_ray(self) -> bool:
        """Whether they share a Ray that is started here."""
        return self.ray is not None

    def ready(self) -> None:
        """Start the shared Ray, unless it runs; of a cluster make sure that it answers."""
        try:
            if self.ray is not None:
                self.ray.ensure()
            elif self.home.ray_address is not None:
                check_answers(self.home.ray_address)
        except (OSError, ServingError) as error:
            raise ClusterError(f"Ray cannot be started: {error}") from error

    def start(self, job_id: str, claim: str) -> LocalProcess:
        """Start a driver whose log is `logs/JOB-driver.log` under the home.

        Raises:
            ClusterError: this machine has no room for one, now.
        """
        try:
            return self.spawn(job_id, claim)
        except OSError as error:
            raise ClusterError(f"no driver can be started: {error}") from error

    def spawn(self, job_id: str, claim: str) -> LocalProcess:
        """Start the process of a driver."""
        log = self.home.log(job_id, "driver")
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GATETUNE_HOME": str(self.home.path)}
        if self.ray is not None:
            environment |= self.ray.environment
        with log.open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "search.service.drive", job_id, claim],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C in a terminal is the supervisor's to pass on.
                start_new_session=True,
            )
        self.processes = [one for one in self.processes if one.poll() is None] + [process]
        return LocalProcess(process, log)

    def close(self) -> None:
        """Let every driver put its job back into the queue, then end the shared Ray."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + PATIENCE_S
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self.processes:
            process.kill()
            process.wait()
        if self.ray is not None:
            self.ray.end()
