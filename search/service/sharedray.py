"""The one Ray that all jobs of a supervisor on one machine share, as processes of their own."""

import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

from search.common.home import Home
from search.common.processes import kill, mark, marked
from search.driver.cluster import (
    LOCAL,
    MARK,
    OWN,
    SESSIONS,
    ClusterError,
    check_answers,
    lean,
    sweep,
)
from search.service.serving import free_port

logger = logging.getLogger("gatetune.ray")

FIRST_PORT, LAST_PORT = 26379, 36379
NICENESS = "5"
START_S = 120.0
STARTS = 3
"""How often Ray is started until it runs: somebody else may take its ports before it does."""


class SharedRay:
    """Starts a Ray on this machine, and again whenever it has died.

    Args:
        home: the installation, whose folder takes Ray's own log.
        cpus: its logical processors; None for all of this machine.
    """

    def __init__(self, home: Home, cpus: int | None = None) -> None:
        self.log = home.path / "logs" / "ray.log"
        self.cpus = cpus
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.said_before = 0
        """Bytes of the log that earlier ones wrote."""
        self.owner = mark().rpartition(":")[0]
        self.token = secrets.token_hex(32)
        self.session: Path | None = None
        """Ray's own folder, which it never deletes."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which a driver joins this Ray."""
        return LOCAL | {
            OWN: "1",
            "RAY_ADDRESS": f"127.0.0.1:{self.port}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
        }

    def ensure(self) -> None:
        """Start Ray unless it runs.

        Raises:
            ClusterError: it did not start; names its log.
        """
        if self.process is not None:
            if self.runs(self.process):
                return
            logger.warning("Ray ended and is started again; see %s", self.log)
            self.end()
        sweep()
        self.start()

    def runs(self, process: "subprocess.Popen[bytes]") -> bool:
        """Return whether Ray lives; `ray start` may outlive what it started.

        Raises:
            ClusterError: this cannot be told now.
        """
        try:
            check_answers(self.environment["RAY_ADDRESS"])
        except ClusterError as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                return False
            raise
        return process.poll() is None

    def start(self) -> None:
        """Start Ray and wait until it answers."""
        for _ in range(STARTS):
            process = self.process = self.begin()
            if self.answers(process):
                return
            code = process.poll()
            self.end()
            if code is None:
                break
            logger.warning("Ray ended with code %s before it answered at port %s", code, self.port)
        raise ClusterError(f"Ray does not start; see {self.log}")

    def begin(self) -> "subprocess.Popen[bytes]":
        """Begin to start Ray, at ports that are free."""
        # The drivers of a Ray that died must not find the next one at its address.
        self.port = free_port(self.port + 1 if FIRST_PORT <= self.port < LAST_PORT else FIRST_PORT)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            # Training takes what others leave: people and drivers are answered first.
            "nice", "-n", NICENESS,
            str(Path(sys.executable).parent / "ray"), "start", "--head", "--block",
            f"--port={self.port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false",
            f"--temp-dir={SESSIONS}", "--disable-usage-stats",
        ]  # fmt: skip
        if self.cpus is not None:
            command.append(f"--num-cpus={self.cpus}")
        with self.log.open("ab") as stream:
            self.said_before = stream.tell()
            return subprocess.Popen(  # noqa: S603 - our own command line
                command,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ
                | self.environment
                | {MARK: mark(), "RAY_START_HOOK": f"{lean.__module__}.{lean.__qualname__}"},
                start_new_session=True,
            )

    def answers(self, process: "subprocess.Popen[bytes]") -> bool:
        """Wait until Ray says that it runs; return whether it does."""
        deadline = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(self.said_before)
                said = log.read().decode(errors="replace")
            # Another service of this home may write into the same log.
            if found := re.search(rf"will be saved to: [^/]*(/\S+?_{process.pid})/", said):
                self.session = Path(found[1])
                return True
            time.sleep(0.1)
        return False

    def end(self) -> None:
        """Kill Ray and all of its processes: the drivers have ended, and it keeps nothing."""
        if self.process is None:
            return
        # Not its process group: workers have their own, and outlive the others by a moment.
        while mine := [pid for pid, owner in marked(MARK) if owner == self.owner]:
            for pid in mine:
                kill(pid)
            time.sleep(0.05)
        self.process.wait()
        self.process = None
        if self.session is not None:
            shutil.rmtree(self.session, ignore_errors=True)
