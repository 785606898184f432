"""The queue of jobs that supervisors run, and the one transaction that takes a job from it."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import or_, select, text, update
from sqlalchemy.orm import Session

from search.common.limits import Limits
from search.database.jobrow import parent_of
from search.database.lease import (
    LIVE,
    busy,
    driver_is_alive,
    drop_lease,
    live_status,
    place_of,
)
from search.database.store import Store
from search.database.tables import Job, JournalRow
from search.driver.shares import ROUNDING
from search.jobs.jobs import NotPossibleError, check_resumable
from search.jobs.listing import TURN

CLAIM_S = 360.0
"""How long a claim holds that its supervisor does not renew; handing a driver over to a cluster may
take five minutes, in which it cannot."""

SKEW_S = 5.0
"""By how much clocks of machines that share a database may differ."""

LACKS_NODES = "; it goes on when the cluster has such nodes"
"""How the message of a job ends that waits for nodes."""

REST_S = 120.0
"""How long such a job lets others go first, which may fit on the nodes that there are."""

FAILED_STARTS = 3
"""Drivers in a row that may die without having reported an epoch before the job is failed."""


@contextmanager
def exclusive(store: Store) -> Iterator[Session]:
    """Yield a session in which no other supervisor counts or takes jobs at the same time."""
    with store.session() as session:
        if store.engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(726255)"))
        else:
            session.connection().exec_driver_sql("BEGIN IMMEDIATE")
        yield session


def claim(
    store: Store, owner: str, limits: Limits, now: float | None = None, *, here: bool = False
) -> Job | None:
    """Take the job that is next, if the limits allow one, and return it.

    First come jobs whose driver died, then the highest priority, then the oldest. The claim is a
    lease in the name of ``owner``; the driver that is started for it takes it over.

    Args:
        store: the database.
        owner: who claims.
        limits: of jobs at once.
        now: what the time is.
        here: whether the Ray is of the owner's machine alone, whose jobs count; else all jobs do.
    """
    now = time.time() if now is None else now
    with exclusive(store) as session:
        held = session.scalars(
            select(Job).where(Job.supervised, Job.lease_owner.is_not(None))
        ).all()
        alive = [job for job in held if driver_is_alive(job, now)]
        live = [job for job in alive if not here or place_of(job.lease_owner) == place_of(owner)]
        if limits.most_jobs is not None and len(live) >= limits.most_jobs:
            return None
        if sum(1 / job.slots for job in live if job.slots) > 1 - ROUNDING:
            return None  # one trial of each fills the Ray that they share
        busy = Counter(job.owner for job in live)
        most = limits.most_owner_jobs
        full = [name for name, jobs in busy.items() if most is not None and jobs >= most]
        left = [job.id for job in held if job not in alive]
        next_one = (
            select(Job)
            .where(Job.supervised, Job.status.in_(LIVE), Job.owner.not_in(full))
            .where(or_(Job.lease_owner.is_(None), Job.id.in_(left)))
            .where(
                or_(
                    Job.message.is_(None),
                    Job.message.not_like(f"%{LACKS_NODES}"),
                    Job.ended_at < now - REST_S,
                )
            )
            .order_by(*TURN)
            .limit(1)
            # A row that a person changes just now is left for the next look.
            .with_for_update(skip_locked=True)
        )
        job = session.scalar(next_one)
        if job is not None:
            job.lease_owner, job.lease_until = owner, now + CLAIM_S
        return job


def give_back(store: Store, job_id: str, *, began: float, why: str) -> bool:
    """Note that a driver ended before its job did; return whether another one shall try.

    Args:
        store: the database.
        job_id: the job.
        began: when the driver began; one that has reported an epoch does not count as failed.
        why: the last that it said.
    """
    with store.session() as session:
        job = session.get(Job, job_id)
        if job is None or not job.supervised or job.status not in LIVE:
            return False
        if driver_is_alive(job):
            return False
        worked = select(JournalRow.study).where(
            JournalRow.job_id == job_id, JournalRow.time_ms >= began * 1000
        )
        if session.scalar(worked.limit(1)):
            job.failed_starts = 0
        elif not put_back(job, began):
            job.failed_starts += 1
        if job.failed_starts < FAILED_STARTS:
            return True
        job.status, job.supervised, job.ended_at = "failed", False, time.time()
        job.message = (
            f"{FAILED_STARTS} drivers in a row ended without an epoch, the last one with: {why}"
        )
        job.revision += 1
        job.changed = job.revision
        session.execute(parent_of(job_id, job.status))
    return False


def put_back(job: Job, began: float) -> bool:
    """Return whether a driver that began then put its job back into the queue itself."""
    return job.status == "queued" and job.ended_at is not None and job.ended_at >= began - SKEW_S


def is_held(store: Store, job_id: str) -> bool:
    """Return whether somebody holds the lease of a job."""
    with store.session() as session:
        job = session.get(Job, job_id)
        return job is not None and driver_is_alive(job)


def renew(store: Store, job_id: str, owner: str) -> None:
    """Hold on to a claim whose driver is still on its way to taking it over."""
    with store.session() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id, Job.lease_owner == owner)
            .values(lease_until=time.time() + CLAIM_S)
        )


def release(store: Store, job_id: str, owner: str) -> None:
    """Give a claim back whose driver did not take it over."""
    with store.session() as session:
        drop_lease(session, job_id, owner)


def enqueue(store: Store, job_id: str) -> None:
    """Put a job that has ended back into the queue.

    Raises:
        NotPossibleError: it waits there, or runs, or is finished, or somebody deletes it just now,
            repairs it or begins to run it.
    """
    with exclusive(store) as session:
        # Whoever takes its lease meanwhile waits, and then sees that it waits for a driver.
        job = session.get_one(Job, job_id, with_for_update=True)
        status = live_status(job)
        if status in LIVE:
            raise NotPossibleError(f"job {job.id} is {status} already")
        if driver_is_alive(job):
            raise NotPossibleError(busy(job.id, job.lease_owner, job.lease_until - time.time()))
        check_resumable(store, job)
        job.status, job.message, job.supervised = "queued", None, True
        job.failed_starts, job.ended_at, job.stop_requested = 0, None, False
        job.revision += 1
        job.changed = job.revision
