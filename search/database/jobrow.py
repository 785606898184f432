"""A job's row, in the hands of its driver."""

import json
import time
from typing import Any

from sqlalchemy import Update, or_, select, update

from search.common.texts import readable
from search.common.trial import SHOWN_OF_JOB
from search.database.lease import FREE, Lease, LeaseLostError
from search.database.tables import PARENT, Job, JournalRow, Run, now_ms
from search.document.document import flatten

CLOSED = {
    "hours": "the hours of the budget are spent",
    "target": "the target is reached",
    "exhausted": "no configuration was found that had not been tried",
}
"""Why a search ended before its budget of trials was spent, in words."""


class JobRow:
    """What a driver writes about its job as a whole; every commit is fenced by its lease."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.job_id = lease.job_id
        self.began = time.time()
        self.started = time.monotonic()  # hours are counted by it: the other clock may be set
        with lease.store.session() as session:
            self.elapsed_before = session.get_one(Job, self.job_id).elapsed_s

    def set(self, **values: Any) -> None:
        """Change the job's row."""
        with self.lease.session() as session:
            session.execute(
                update(Job).where(Job.id == self.job_id).values(**values, changed=Job.revision)
            )

    def message(self) -> str | None:
        """Return why the search ended before its budget of trials was spent, if so."""
        with self.lease.store.session() as session:
            closed = session.get_one(Job, self.job_id).closed
        return None if closed is None else CLOSED[closed]

    def has_trained(self) -> bool:
        """Return whether any driver of this job has had an epoch."""
        ours = select(JournalRow.study).where(JournalRow.job_id == self.job_id).limit(1)
        with self.lease.store.session() as session:
            return session.scalar(ours) is not None

    def is_wanted(self) -> bool:
        """Return whether a supervisor is to start another driver for this job."""
        with self.lease.store.session() as session:
            return session.get_one(Job, self.job_id).is_wanted

    def begin(self) -> None:
        """Mark the job as running, and its parent run too."""
        with self.lease.session() as session:
            job = session.get_one(Job, self.job_id)
            job.status, job.message = "running", None
            job.started_at = job.started_at or self.began
            job.ended_at, job.changed = None, job.revision
            parent = session.get(Run, (self.job_id, PARENT))
            if parent is None:
                session.add(
                    Run(
                        study=self.job_id,
                        trial=PARENT,
                        job_id=self.job_id,
                        name=self.job_id,
                        parameters=json.dumps(flatten(json.loads(job.document))),
                        status="RUNNING",
                        started_ms=int(self.began * 1000),
                    )
                )
            else:
                parent.status, parent.tag, parent.ended_ms = "RUNNING", None, None

    def end(self, status: str, message: str | None) -> None:
        """Write how the job ended, and give it back with the same commit.

        Were the lease given back later, a driver that is killed in between would leave it.
        """
        try:
            self.set(
                status=status,
                message=message and readable(message),
                ended_at=time.time(),
                elapsed_s=self.elapsed_s(),
                slots=None,
                **FREE,
                **({} if status == "queued" else {"supervised": False}),
            )
        except LeaseLostError:
            # The database may have gone away with the answer to this very commit.
            with self.lease.store.session() as session:
                job = session.get_one(Job, self.job_id)
            if job.status != status or job.lease_owner is not None:
                raise

    def tell_parent(self, status: str) -> None:
        """Set what the parent run should show."""
        with self.lease.session() as session:
            session.execute(parent_of(self.job_id, status))

    def elapsed_s(self) -> float:
        """Return the seconds that all drivers of this job have run."""
        return self.elapsed_before + time.monotonic() - self.started


def parent_of(job_id: str, status: str) -> Update:
    """Return the statement by which a job's parent run, if there is one, shows its status.

    One that shows it already keeps its end.
    """
    shown, tag = SHOWN_OF_JOB[status]
    return (
        update(Run)
        .where(Run.study == job_id, Run.trial == PARENT)
        .where(or_(Run.status != shown, Run.tag.is_distinct_from(tag)))
        .values(status=shown, tag=tag, ended_ms=now_ms())
    )
