"""The driver of one job of the queue, as a process: ``python -m search.service.drive JOB CLAIM``.

A supervisor has claimed the job and starts this, on its own machine or on a Ray cluster. What the
driver has to say it logs.
"""

import faulthandler
import logging
import os
import signal
import sys

from rich.console import Console

from search.common.faults import SpecError
from search.common.garbage import collect_seldom
from search.common.home import Home
from search.common.limits import Limits
from search.common.logs import write_json
from search.common.versions import VersionsError, check_versions
from search.database.jobrow import JobRow
from search.database.lease import Lease, LeaseHeldError, LeaseLostError
from search.database.store import Store
from search.driver.cluster import OWN, NoWorkersError, ResourcesError, may_grow
from search.driver.progress import Progress
from search.driver.shares import Share
from search.driver.start import go_on
from search.jobs import jobs
from search.service.queue import LACKS_NODES
from trainables.faults import DatasetError

logger = logging.getLogger("gatetune.driver")

UNWORKABLE = (ResourcesError, VersionsError, DatasetError, SpecError, jobs.NotPossibleError)
"""What makes a job fail for good that a supervisor has claimed."""


class LoggedProgress(Progress):
    """Tells the log what a terminal would show."""

    def __init__(self, job_id: str, home: str) -> None:
        super().__init__(Console(quiet=True), job_id, home)

    def line(self, text: str, trial: int | None = None) -> None:
        """Log a line."""
        logger.info(text, extra={} if trial is None else {"trial": trial})


def drive(home: Home, store: Store, job_id: str, claim: str) -> None:
    """Run a claimed job to its end, or to the end of this process.

    A job that can never run as it is, with this data or on this cluster, is failed, and says why.
    """
    job = jobs.find(store, job_id)
    with Lease(store, job_id, claim=claim) as lease:
        try:
            check_versions()
            share = Share(lease, Limits.from_environment(), here=OWN in os.environ)
            go_on(home, store, lease, job, LoggedProgress(job_id, str(home.path)), share.of)
        except UNWORKABLE as error:
            row = JobRow(lease)
            if may_grow(home.ray_address) and lacks_nodes(error, row):
                logger.info("the job waits for nodes: %s", error)
                if row.is_wanted():
                    status, message = "queued", f"{error}{LACKS_NODES}"
                else:
                    status, message = "stopped", str(error)
                row.tell_parent(status)
                row.end(status, message)
                return
            row.tell_parent("failed")
            row.end("failed", str(error))
            raise


def lacks_nodes(error: Exception, row: JobRow) -> bool:
    """Return whether a cluster lacks what it will have: all workers, or such as the job had."""
    if isinstance(error, NoWorkersError):
        return True
    return isinstance(error, ResourcesError) and row.has_trained()


def main() -> None:
    """Drive the job that the command line names; exit code 0 however the job itself ended."""
    job_id, claim = sys.argv[1:]
    home = Home.from_environment()
    # A cluster keeps what its drivers say; here it lies where that of all others does, too.
    write_json(file=home.log(job_id, "driver"), job=job_id)
    collect_seldom()
    # Where a driver seems to hang, `kill -USR2` lets its log say where it is; USR1 ends Tune's fit.
    faulthandler.register(signal.SIGUSR2, file=2)
    store = Store.open(home.database_url)
    try:
        drive(home, store, job_id, claim)
    except (LeaseHeldError, LeaseLostError, jobs.JobNotFoundError) as error:
        logger.info(str(error))  # normal outcomes: it is another's, or gone
    except Exception:
        logger.exception("the driver failed")
        sys.exit(1)
    finally:
        store.close()


if __name__ == "__main__":
    main()
