"""What happens to a job, as it happens: server-sent events that can be taken up again."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from search.database.lease import LIVE
from search.database.store import StoreError
from search.service.api.context import BEARER, In, found
from search.service.api.errors import DOCUMENTED, ApiError
from search.service.api.feed import Event, Feed, job_content
from search.service.api.models import NUMBER

router = APIRouter(prefix="/api/v1", tags=["events"], dependencies=[BEARER], responses=DOCUMENTED)

PING_S = 15
"""After so long without an event a comment is sent, so that a dead connection is noticed."""

ASK_S = 5.0
"""How often it is asked again whether who follows may still do so."""


@router.get(
    "/jobs/{job}/events",
    response_class=EventSourceResponse,
    responses={204: {"description": "nothing will come any more"}},
)
async def events(
    request: Request,
    job: str,
    service: In,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> Response:
    """Follow a job: what there is already, then what comes, until the job has ended.

    Events are `job` (status, message), `trial` (study, trial, state, attempts, reason) and `epoch`
    (study, trial, epoch, metrics). `id` is a revision of the job; who sends the last one back as
    `Last-Event-ID` gets what came after it, each epoch once. 204 where nothing will come any more.
    Where a driver died, a status follows that is in no revision, and the `id` names it, too.
    """
    given, _, unwritten = (last_event_id or "").partition("-")
    since = min(int(given), NUMBER) if given.isdecimal() else -1
    one = await run_in_threadpool(found, service, job)
    feed = service.feeds.setdefault(one.id, Feed(service.store, one))
    first, status = await feed.news(since)
    known = unwritten or feed.job.status
    if status not in LIVE and status == known and not first:
        return Response(status_code=204)
    identify = request.scope["gatetune.identify"]
    return EventSourceResponse(follow(identify, feed, since, first, status, known), ping=PING_S)


async def follow(  # noqa: PLR0913 - where a client is
    identify: Callable[[], Awaitable[object]],
    feed: Feed,
    since: int,
    told: list[Event],
    status: str,
    known: str,
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a job after a revision, until it has ended or is deleted.

    Args:
        identify: says who follows, and raises `ApiError` where that is nobody any more.
        feed: the job's.
        since: the revision.
        told: the first batch of them.
        status: the job's, when that was read.
        known: what the client takes it for.
    """
    asked = time.monotonic()
    while True:
        for event in numbered(told):
            yield event
        if told:
            since = told[-1][0]
        said = [content["status"] for _, kind, content in told if kind == "job"]
        if status != (said or [known])[-1]:
            # A driver died: nobody wrote that down, so the change has no revision of its own.
            content = json.dumps(job_content(feed.job))
            yield ServerSentEvent(content, event="job", id=f"{max(since, 0)}-{status}")
        await feed.pause(told)
        known = status
        try:
            told, status = await feed.news(since)
            if time.monotonic() - asked > ASK_S:
                await identify()
                asked = time.monotonic()
        except (StoreError, LookupError, ApiError):
            return  # the client comes back with the last id, and is told
        if status not in LIVE and status == known and not told:
            return


def numbered(found_events: list[Event]) -> Iterator[ServerSentEvent]:
    """Yield events; the last of a revision bears its number, so that none is skipped later."""
    for place, (revision, kind, content) in enumerate(found_events):
        is_last = place + 1 == len(found_events) or found_events[place + 1][0] != revision
        yield ServerSentEvent(
            json.dumps(content), event=kind, id=str(revision) if is_last else None
        )
