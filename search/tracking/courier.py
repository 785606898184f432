"""Starts and ends the process that delivers one job's journal to MLflow.

Started as ``python -m search.tracking.courier JOB OWNER``, it is that process.
"""

import os
import subprocess
import sys

from search.common.garbage import collect_seldom
from search.common.home import Home

TRIES = 3
"""Times that a drain is begun again whose process was killed from outside."""

DRAIN_S = 3600.0
"""How long a drain may take; what it gives up on, it gives up on much earlier."""

END_S = 60.0
"""How long a process may take to end: a request to MLflow may be under way."""


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
        self.log = home.log(job_id, "delivery")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = self.start()

    def start(self) -> "subprocess.Popen[str]":
        """Start the process, in a session of its own so that Ctrl-C does not reach it."""
        with self.log.open("a") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "search.tracking.courier", self.job_id, self.owner],
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
        for _ in range(TRIES):
            self.keep()
            ended = self.finish("drain\n", DRAIN_S)
            if not ended or self.process.returncode >= 0:  # else it was killed from outside
                break
        if self.log.exists() and not self.log.stat().st_size:
            self.log.unlink()
        return self.process.returncode == 0

    def abandon(self) -> None:
        """Let the process end at once; the journal keeps what it had not delivered."""
        self.finish(None, END_S)

    def finish(self, order: str | None, patience_s: float) -> bool:
        """Give a last order and wait for the end; return whether it came, else it is killed."""
        try:
            self.process.communicate(order, timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return False
        return True


def main() -> int:
    """Deliver; return 0 when everything was, 1 when something waits."""
    os.nice(15)  # as a local Ray's workers are, who share these processors: metrics can wait
    collect_seldom()
    from search.tracking.delivery import deliver

    return deliver(*sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
