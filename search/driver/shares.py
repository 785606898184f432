"""How the jobs on one Ray share it: each driver knows how many trials it may run at once."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text, update

from search.common.limits import Limits
from search.database.lease import Lease, driver_is_alive, place_of
from search.database.tables import Job

LOOK_S = 1.0
"""How often a driver tells what it uses, and looks what the others do."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Need:
    """What one running job needs of the Ray that it shares."""

    job_id: str
    owner: str
    slots: int
    """Its trials that would fit at once, were it alone."""
    wanted: int
    """Its trials that it could run at once."""
    used: int
    """Its trials that run, or may start before it looks again."""


def allot(needs: Sequence[Need], limits: Limits) -> dict[str, int]:
    """Return how many trials at once each job may run.

    Every job gets one; then, one after the other, the job with the smallest part of the cluster
    gets one more (max-min fairness), until cluster, limits or needs are filled.

    Args:
        needs: of all running jobs, those first that win a tie.
        limits: of trials at once.
    """
    granted = {need.job_id: 1 for need in needs}
    of_owner = Counter(need.owner for need in needs)
    part = sum(1 / need.slots for need in needs)
    while True:
        open_needs = [
            need
            for need in needs
            if granted[need.job_id] < min(need.wanted, need.slots)
            and part + 1 / need.slots <= 1 + ROUNDING
            and (limits.owner_trials is None or of_owner[need.owner] < limits.owner_trials)
        ]
        total = sum(granted.values())
        if not open_needs or (limits.trials is not None and total >= limits.trials):
            return granted
        poorest = min(open_needs, key=lambda need: granted[need.job_id] / need.slots)
        granted[poorest.job_id] += 1
        of_owner[poorest.owner] += 1
        part += 1 / poorest.slots


def room(mine: Need, needs: Sequence[Need], limits: Limits) -> int:
    """Return how many trials at once a job may run, while others may still run more than theirs.

    A trial is never ended for another job's sake: a job waits until those above their share have
    come down to it.
    """
    share = allot(needs, limits)[mine.job_id]
    others = [need for need in needs if need.job_id != mine.job_id]
    free = mine.slots - sum(need.used / need.slots for need in others) * mine.slots
    most = [share, int(free + ROUNDING)]
    if limits.trials is not None:
        most.append(limits.trials - sum(need.used for need in others))
    if limits.owner_trials is not None:
        own = sum(need.used for need in others if need.owner == mine.owner)
        most.append(limits.owner_trials - own)
    return max(0, min(most))


class Share:
    """One job's share of a Ray that others use, too.

    Args:
        lease: of the job.
        limits: of trials at once.
        here: whether the Ray is of this machine alone, whose jobs share it; else all jobs do.
    """

    def __init__(self, lease: Lease, limits: Limits, *, here: bool) -> None:
        self.lease = lease
        self.limits = limits
        self.here = here
        self.next_look = 0.0
        self.granted = 0

    def of(self, slots: int, wanted: int, used: int) -> int:
        """Return how many trials this job may run at once, where ``slots`` would fit alone.

        Raises:
            LeaseLostError: another driver owns the job.
        """
        now = time.monotonic()
        if now >= self.next_look:
            self.next_look = now + LOOK_S
            self.granted = self.look(slots, wanted, used)
        return self.granted

    def look(self, slots: int, wanted: int, used: int) -> int:
        """Tell what this job needs, read what the others do, and note what it may use now."""
        mine = update(Job).where(Job.id == self.lease.job_id)
        with self.lease.session() as session:
            if session.get_bind().dialect.name == "postgresql":
                # Of two that look at the same moment, the second sees what the first was granted;
                # in SQLite the check of the lease sees to it.
                session.execute(text("SELECT pg_advisory_xact_lock(726256)"))
            session.execute(mine.values(slots=slots, slots_wanted=wanted, slots_used=used))
            jobs = session.scalars(
                select(Job)
                .where(Job.supervised, Job.slots.is_not(None), Job.lease_owner.is_not(None))
                .order_by(Job.priority.desc(), Job.created_at, Job.id)
            ).all()
            needs = [
                need_of(job)
                for job in jobs
                if driver_is_alive(job)
                and not (self.here and place_of(job.lease_owner) != place_of(self.lease.owner))
            ]
            own = next((need for need in needs if need.job_id == self.lease.job_id), None)
            # A job that was taken from the queue for good hears next that it has to stop.
            granted = room(own, needs, self.limits) if own else 0
            # Until the next look nobody sees when a trial starts, so it counts from now on.
            session.execute(mine.values(slots_used=max(used, granted)))
        return granted


def whole(slots: int, wanted: int, used: int) -> int:  # noqa: ARG001 - as `Share.of`
    """Return the share of a job that has its Ray for itself: all that it wants."""
    return wanted


def need_of(job: Job) -> Need:
    """Return what a job's row says that it needs."""
    return Need(job.id, job.owner, job.slots or 1, job.slots_wanted or 1, job.slots_used or 0)
