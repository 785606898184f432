"""Takes jobs from the queue, starts their drivers, and goes on with those whose driver died."""

import logging
import threading
import time
from dataclasses import dataclass

from search.common.limits import Limits
from search.common.texts import first_line
from search.database.lease import DURATION_S, identity
from search.database.store import Store, StoreError
from search.driver.cluster import ClusterError
from search.service.drivers import Drivers, Driving
from search.service.queue import CLAIM_S, claim, give_back, is_held, release, renew

logger = logging.getLogger("gatetune.supervisor")

LOOK_S = 1.0
"""How often the queue is looked at."""

SLEPT_S = 10.0
"""How much further the time of day has gone than the clock that stands still in sleep, when this
machine has slept."""

WAKING_S = 10.0
"""How long drivers that slept, too, have to renew their leases before others take their jobs."""


@dataclass
class Started:
    """A driver that this supervisor started."""

    driving: Driving
    claim: str
    began: float
    """Time of day, as the journal's is."""
    renewed: float = 0.0
    """When its claim was; at first never, since starting a driver may have taken long."""
    ended: float | None = None
    """When that was seen, on the clock that cannot be set."""


class Supervisor:
    """Runs the queue; any number of them may do so on one database.

    A job is claimed in one transaction and driven under a lease, so that of several supervisors
    one runs it; one whose driver or supervisor died is claimed again, by any of them.

    Args:
        store: the database.
        drivers: how drivers are started.
        limits: of jobs and trials at once.
    """

    def __init__(self, store: Store, drivers: Drivers, limits: Limits) -> None:
        self.store = store
        self.drivers = drivers
        self.limits = limits
        self.started: dict[str, Started] = {}
        self.ending = threading.Event()
        self.left = threading.Event()
        """Set whenever a driver has ended, which may have left something for MLflow."""
        self.trouble: str | None = None
        """Why no job can be started just now."""
        self.slept_s = time.time() - time.monotonic()
        self.waking_until = 0.0

    def run(self) -> None:
        """Look at the queue until told to end, then give the jobs back and end."""
        while not self.ending.is_set():
            try:
                self.step()
            except Exception as error:
                if not isinstance(error, StoreError | ClusterError):
                    logger.exception("the queue could not be looked at")  # and is, once more
                self.note(first_line(error))
            else:
                self.note(None)
            self.ending.wait(LOOK_S)
        self.drivers.close()

    def note(self, trouble: str | None) -> None:
        """Log once that no job can be started, and once that they can be again."""
        if trouble is not None and self.trouble is None:
            logger.warning("no job can be started: %s", trouble)
        if trouble is None and self.trouble is not None:
            logger.info("jobs can be started again")
        self.trouble = trouble

    def step(self) -> None:
        """Take note of drivers that ended, and start those of the next jobs."""
        self.reap()
        self.drivers.ready()
        if self.is_waking():
            return
        while True:
            owner = identity()
            job = claim(self.store, owner, self.limits, here=self.drivers.own_ray)
            if job is None:
                return
            logger.info("starting a driver", extra={"job": job.id})
            try:
                driving = self.drivers.start(job.id, owner)
            except ClusterError:
                release(self.store, job.id, owner)
                raise
            self.started[job.id] = Started(driving, owner, time.time())

    def is_waking(self) -> bool:
        """Whether this machine has just slept, so that leases lapsed whose drivers live."""
        before, self.slept_s = self.slept_s, time.time() - time.monotonic()
        if self.slept_s - before > SLEPT_S:
            self.waking_until = time.monotonic() + WAKING_S
        return time.monotonic() < self.waking_until

    def reap(self) -> None:
        """Take note of drivers that have ended."""
        for job_id, one in list(self.started.items()):
            if self.ending.is_set():
                return
            if not one.driving.ended():
                if time.time() > one.renewed + CLAIM_S / 4:
                    # It may have to wait for long, such as a Ray Job for its place.
                    renew(self.store, job_id, one.claim)
                    one.renewed = time.time()
                continue
            one.ended = one.ended or time.monotonic()
            release(self.store, job_id, one.claim)
            # Of a driver elsewhere that was killed nobody knows until its lease has lapsed.
            if is_held(self.store, job_id) and time.monotonic() < one.ended + DURATION_S:
                continue
            why = one.driving.last_words()
            again = give_back(self.store, job_id, began=one.began, why=why)
            del self.started[job_id]
            self.left.set()
            said = f"its driver died and is started again: {why}" if again else "driver ended"
            logger.log(logging.WARNING if again else logging.INFO, said, extra={"job": job_id})

    def end(self) -> None:
        """Let `run` end, and drivers that cannot outlive it."""
        self.ending.set()
