"""A driver owns its job by a lease: a row that it renews and that every commit of it checks."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, CursorResult, bindparam, or_, update
from sqlalchemy.orm import Session

from search.common.processes import birth, place
from search.database.store import Store, StoreError
from search.database.tables import Job

LIVE = ("queued", "running")
"""The statuses of a job that has not ended."""

FREE: dict[str, Any] = {"lease_owner": None, "lease_until": 0.0}
"""What a job's row says whose lease nobody holds."""

DURATION_S = 30.0
"""How long a lease holds without being renewed."""


class LeaseLostError(RuntimeError):
    """Another driver owns the job now, so nothing may be written for it any more."""


class LeaseHeldError(RuntimeError):
    """A live driver owns the job."""


def identity() -> str:
    """Return a name for this process that tells whether it is still alive on this host."""
    pid = os.getpid()
    return f"{place()}:{pid}:{birth(pid)}:{secrets.token_hex(4)}"


def place_of(owner: str | None) -> str:
    """Return where the process of an `identity` runs, '' where there is none."""
    return owner.rsplit(":", 3)[0] if owner else ""


def is_dead(owner: str) -> bool:
    """Whether ``owner`` was a process of this place that has ended, or names none at all."""
    try:
        where, pid, born, _ = owner.rsplit(":", 3)
        return where == place() and birth(int(pid)) != born
    except ValueError:
        return True


def described(owner: str | None, left_s: float) -> str:
    """Return who holds a lease and for how long it holds without being renewed, for a message."""
    if owner is None:
        return ""
    pid, host = owner.rsplit(":", 3)[1], place_of(owner).split("/")[0]
    return f" (process {pid} on {host}, whose lease holds for {max(0.0, left_s):.0f} s more)"


def busy(job_id: str, owner: str | None, left_s: float) -> str:
    """Return what becomes of a job that has ended, and whose lease somebody holds, as a message."""
    holder = described(owner, left_s)
    return f"job {job_id} is being deleted, repaired or started{holder}; try again later"


class Lease:
    """Ownership of one job by this process, renewed by a thread while the ``with`` block runs.

    With a ``claim``, a supervisor's hold on the job, it takes over that and nothing else.

    Raises on entering:
        LeaseHeldError: another driver holds the job and is not known to be dead.
    """

    def __init__(
        self,
        store: Store,
        job_id: str,
        clock: Callable[[], float] = time.time,
        claim: str | None = None,
    ) -> None:
        self.store = store
        self.job_id = job_id
        self.owner = identity()
        self.clock = clock
        self.claim = claim
        # Made once: every commit of the driver has it.
        self.renewal = (
            update(Job)
            .where(Job.id == job_id, Job.lease_owner == self.owner)
            .values(lease_until=bindparam("until"), revision=Job.revision + 1)
        )
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.keep, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self.acquire()
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self.thread.join()
        self.release()

    def acquire(self) -> None:
        """Take the lease in one conditional update, so that of two drivers one wins."""
        now = self.clock()
        with self.store.session() as session:
            job = session.get_one(Job, self.job_id)
            holder, until, status = job.lease_owner, job.lease_until, job.status
            free = or_(Job.lease_owner.is_(None), Job.lease_until < now)
            if holder is not None and is_dead(holder):
                free = or_(free, Job.lease_owner == holder)
            values: dict[str, Any] = {"lease_owner": self.owner, "lease_until": now + DURATION_S}
            if self.claim is None:
                values["stop_requested"] = False
            else:
                # What was asked of the job since it was claimed is asked of this driver.
                free = Job.lease_owner == self.claim
            taken = session.execute(update(Job).where(Job.id == self.job_id, free).values(**values))
            if taken.rowcount != 1:  # type: ignore[attr-defined]  # a cursor result, for an update
                if status not in LIVE and self.claim is not None:
                    raise LeaseHeldError(f"job {self.job_id} was {status} before its driver began")
                if status not in LIVE:
                    raise LeaseHeldError(busy(self.job_id, holder, until - now))
                raise LeaseHeldError(
                    f"job {self.job_id} is run by another driver{described(holder, until - now)}; "
                    f"`gatetune stop {self.job_id}` ends it"
                )

    def check(self, connection: Connection) -> None:
        """Renew the lease inside the caller's transaction, which only its owner can commit.

        Raises:
            LeaseLostError: another driver took it.
        """
        self.confirm(self.renew(connection))

    def renew(self, connection: Connection) -> CursorResult[Any]:
        """Begin a `check`: return what `confirm` must be asked of before the commit."""
        return connection.execute(self.renewal, {"until": self.clock() + DURATION_S})

    def confirm(self, renewed: CursorResult[Any]) -> None:
        """End a `check`, once the database has answered; raises as it does."""
        # Where statements were sent together, the result was made before there was an answer.
        rows = renewed.rowcount if renewed.rowcount >= 0 else renewed.context.cursor.rowcount
        if rows != 1:
            raise LeaseLostError(f"job {self.job_id} was taken over by another driver")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session whose commit only the lease's owner can make.

        Raises:
            LeaseLostError: another driver took the job; nothing was written.
            StoreError: the database went away.
        """
        with self.store.session() as session:
            self.check(session.connection())
            yield session

    def keep(self) -> None:
        """Renew the lease until it is released or lost; the body of the thread."""
        while not self.released.wait(DURATION_S / 6):
            try:
                with self.session():
                    pass
            except LeaseLostError:
                return
            except StoreError:
                continue  # the database is away; the next commit of the driver will say so

    def release(self) -> None:
        """Give the lease back, if it is still ours; where the database is away, it lapses."""
        with suppress(StoreError), self.store.session() as session:
            drop_lease(session, self.job_id, self.owner)


def drop_lease(session: Session, job_id: str, owner: str) -> None:
    """Let nobody hold the lease of a job, if it is still its owner's."""
    session.execute(update(Job).where(Job.id == job_id, Job.lease_owner == owner).values(**FREE))


def live_status(job: Job, now: float | None = None) -> str:
    """Return a job's status; where its driver died, what follows, whatever its row says."""
    if job.status == "running" and not driver_is_alive(job, now):
        return "queued" if job.supervised else "stopped"
    return job.status


def driver_is_alive(job: Job, now: float | None = None) -> bool:
    """Whether a driver holds ``job`` and may still be running it."""
    owner: Any = job.lease_owner
    now = time.time() if now is None else now
    return owner is not None and job.lease_until >= now and not is_dead(owner)
