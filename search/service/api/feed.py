"""What has happened to a job since a revision, read once for all who follow it."""

import asyncio
import json
import time
from typing import Any

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from search.database.lease import live_status
from search.database.outbox import read_epoch
from search.database.store import Store
from search.database.tables import PARENT, Job, JournalRow, Run
from search.jobs import jobs
from search.jobs.listing import STATE_OF_RUN
from search.service.api.models import finite

LOOK_S = 0.5
"""How often the database is asked for what is new."""

BATCH = 1000
"""Epochs that are read at once, those of one commit more."""

MOST_KNOWN = 16
"""Batches that are kept for other followers."""

Event = tuple[int, str, dict[str, Any]]
"""Revision, kind and content."""


class Feed:
    """A job as all of its followers see it: hundreds of them cost what one costs.

    Args:
        store: the database.
        job: its row, as it was just read.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self.store = store
        self.job = job
        self.looked_at = time.monotonic()
        self.known: dict[int, list[Event]] = {}
        """What came after a revision, up to that of `job`."""
        self.lock = asyncio.Lock()

    async def news(self, since: int) -> tuple[list[Event], str]:
        """Return a batch of what came after a revision, oldest first, and the job's status.

        Raises:
            JobNotFoundError: the job was deleted.
            StoreError: the database does not answer.
        """
        async with self.lock:
            if time.monotonic() - self.looked_at >= LOOK_S:
                await self.look()
            if since not in self.known:
                if len(self.known) >= MOST_KNOWN:
                    self.known.clear()  # of followers who are far apart
                self.known[since] = await run_in_threadpool(read, self.store, self.job, since)
            return self.known[since], live_status(self.job)

    async def pause(self, told: list[Event]) -> None:
        """Wait until there may be more than what a follower was told."""
        await asyncio.sleep(0 if len(told) >= BATCH else LOOK_S)

    async def look(self) -> None:
        """Read the job's row."""
        before = self.job.revision
        self.job = await run_in_threadpool(jobs.find, self.store, self.job.id)
        self.looked_at = time.monotonic()
        if self.job.revision != before:
            self.known.clear()


def read(store: Store, job: Job, since: int) -> list[Event]:
    """Return a batch of what a job's row and the rows of its trials say since a revision."""
    if since >= job.revision:
        return []
    with store.session() as session:
        newest = (
            select(JournalRow.revision)
            .where(
                JournalRow.job_id == job.id,
                JournalRow.revision > since,
                JournalRow.trial != PARENT,
            )
            .order_by(JournalRow.revision)
            .limit(BATCH)
        )
        revisions = session.scalars(newest).all()
        # A whole batch may not be all; what changed later than its end comes with the next.
        until = revisions[-1] if len(revisions) == BATCH else job.revision
        rows = session.scalars(
            select(JournalRow)
            .where(JournalRow.job_id == job.id, JournalRow.trial != PARENT)
            .where(JournalRow.revision > since, JournalRow.revision <= until)
        ).all()
        runs = session.scalars(
            select(Run)
            .where(Run.job_id == job.id, Run.trial != PARENT)
            .where(Run.revision > since, Run.revision <= until)
        ).all()
    told = [epoch_event(row) for row in rows] + [trial_event(run) for run in runs]
    if since < job.changed <= until or (since < 0 and not job.changed):
        told.append((job.changed, "job", job_content(job)))
    order = {"epoch": 0, "trial": 1, "job": 2}
    told.sort(key=lambda one: (one[0], order[one[1]]))
    return told


def epoch_event(row: JournalRow) -> Event:
    """Return what an epoch is told as."""
    values, _, _ = read_epoch(row)
    content = {
        "study": row.study,
        "trial": row.trial,
        "epoch": row.epoch,
        "time_ms": row.time_ms,
        "metrics": finite(values),
    }
    return row.revision, "epoch", content


def trial_event(run: Run) -> Event:
    """Return what a trial's present state is told as."""
    state = STATE_OF_RUN.get((run.status, run.tag), "failed")
    content = {
        "study": run.study,
        "trial": run.trial,
        "name": run.name,
        "state": state,
        "attempts": run.attempts,
        "worker": run.worker,
        "reason": run.reason,
        "parameters": json.loads(run.parameters),
    }
    return run.revision, "trial", content


def job_content(job: Job) -> dict[str, Any]:
    """Return what a job's present state is told as."""
    return {
        "id": job.id,
        "status": live_status(job),
        "message": job.message,
        "elapsed_s": round(job.elapsed_s, 1),
    }
