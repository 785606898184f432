"""What happens to a job, as it happens: server-sent events that can be taken up again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from sqlalchemy import select
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from search.api.context import BEARER, In, Service, found
from search.api.errors import DOCUMENTED
from search.api.jobs import NUMBER, finite
from search.lease import live_status
from search.listing import STATE_OF_RUN
from search.outbox import read_epoch
from search.store import StoreError
from search.tables import PARENT, Job, JournalRow, Run

router = APIRouter(prefix="/api/v1", tags=["events"], dependencies=[BEARER], responses=DOCUMENTED)

LOOK_S = 0.5
"""How often the database is asked for what is new."""

BATCH = 1000
"""Epochs that are read at once, those of one commit more."""

PING_S = 15
"""After so long without an event a comment is sent, so that a dead connection is noticed."""

LIVE = ("queued", "running")

Event = tuple[int, str, dict[str, Any]]
"""Revision, kind and content."""


@router.get(
    "/jobs/{job}/events",
    response_class=EventSourceResponse,
    responses={204: {"description": "nothing will come any more"}},
)
async def events(
    job: str, service: In, last_event_id: Annotated[str | None, Header(max_length=20)] = None
) -> Response:
    """Follow a job: what there is already, then what comes, until the job has ended.

    Events are `job` (status, message), `trial` (study, trial, state, attempts, reason) and `epoch`
    (study, trial, epoch, metrics). `id` is a revision of the job; who sends the last one back as
    `Last-Event-ID` gets what came after it, each epoch once. 204 where nothing will come any more.
    """
    given = last_event_id or ""
    since = min(int(given), NUMBER) if given.isdecimal() else -1
    one = await run_in_threadpool(found, service, job)
    first, status = await run_in_threadpool(news, service, one.id, since)
    if status not in LIVE and not first:
        return Response(status_code=204)
    return EventSourceResponse(follow(service, one.id, since, first, status), ping=PING_S)


async def follow(
    service: Service, job_id: str, since: int, told: list[Event], status: str
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a job after a revision, until it has ended or is deleted.

    Args:
        service: where the job is.
        job_id: the job.
        since: the revision.
        told: the first batch of them.
        status: the job's, when that was read.
    """
    while True:
        for event in numbered(told):
            yield event
        if told:
            since = told[-1][0]
        await asyncio.sleep(0 if len(told) >= BATCH else LOOK_S)
        try:
            told, now = await run_in_threadpool(news, service, job_id, since)
            if now != status and all(kind != "job" for _, kind, _ in told):
                # A driver died: nobody wrote that down, so the change has no revision of its own.
                job = await run_in_threadpool(found, service, job_id)
                told.append((told[-1][0] if told else since, "job", job_content(job)))
        except (StoreError, LookupError):
            return  # the client comes back with the last id, and is told
        status = now
        if status not in LIVE and not told:
            return


def numbered(found_events: list[Event]) -> Iterator[ServerSentEvent]:
    """Yield events; the last of a revision bears its number, so that none is skipped later."""
    for place, (revision, kind, content) in enumerate(found_events):
        is_last = place + 1 == len(found_events) or found_events[place + 1][0] != revision
        yield ServerSentEvent(
            json.dumps(content), event=kind, id=str(revision) if is_last else None
        )


def news(service: Service, job_id: str, since: int) -> tuple[list[Event], str]:
    """Return a batch of what came after a revision, oldest first, and the job's status.

    Raises:
        JobNotFoundError: it was deleted.
    """
    job = found(service, job_id)
    with service.store.session() as session:
        newest = (
            select(JournalRow.revision)
            .where(
                JournalRow.job_id == job_id,
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
            .where(JournalRow.job_id == job_id, JournalRow.trial != PARENT)
            .where(JournalRow.revision > since, JournalRow.revision <= until)
        ).all()
        runs = session.scalars(
            select(Run)
            .where(Run.job_id == job_id, Run.trial != PARENT)
            .where(Run.revision > since, Run.revision <= until)
        ).all()
    told = [epoch_event(row) for row in rows] + [trial_event(run) for run in runs]
    if since < job.changed <= until or (since < 0 and not job.changed):
        told.append((job.changed, "job", job_content(job)))
    order = {"epoch": 0, "trial": 1, "job": 2}
    told.sort(key=lambda one: (one[0], order[one[1]]))
    return told, live_status_of(job)


def live_status_of(job: Job) -> str:
    """Return how a job stands now."""
    return live_status(job, time.time())


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
        "status": live_status_of(job),
        "message": job.message,
        "elapsed_s": round(job.elapsed_s, 1),
    }
