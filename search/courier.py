"""Starts and ends the process that delivers one job's journal to MLflow."""

import os
import subprocess
import sys

from search.home import Home


class Courier:
    """The delivery of one job, as a process that outlives no driver.

    Args:
        home: the installation.
        job_id: the job.
        owner: the lease's owner, on whose behalf it delivers.
    """

    def __init__(self, home: Home, job_id: str, owner: str) -> None:
        self.home = home
        self.job_id = job_id
        self.owner = owner
        self.log = home.path / "logs" / f"{job_id}-delivery.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = self.start()

    def start(self) -> "subprocess.Popen[str]":
        """Start the process, in a session of its own so that Ctrl-C does not reach it."""
        with self.log.open("a") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "search.delivery", self.job_id, self.owner],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ
                | {
                    "GATETUNE_HOME": str(self.home.path),
                    "GATETUNE_DATABASE_URL": self.home.database_url,
                    "MLFLOW_TRACKING_URI": self.home.tracking_uri,
                },
            )

    def keep(self) -> None:
        """Start the process again if it was killed."""
        if self.process.poll() is not None:
            self.process.communicate()
            self.process = self.start()

    def drain(self) -> bool:
        """Let the process deliver what is left and end; return whether everything arrived."""
        self.keep()
        self.process.communicate("drain\n")
        if self.process.returncode < 0:  # killed from outside while it drained
            return self.drain()
        if self.log.exists() and not self.log.stat().st_size:
            self.log.unlink()
        return self.process.returncode == 0

    def abandon(self) -> None:
        """Let the process end at once; the journal keeps what it had not delivered."""
        self.process.communicate()
