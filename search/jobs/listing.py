"""The list of jobs: a page of them in a few statements, however many trials they have."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    false,
    func,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from search.common.labels import OPEN
from search.common.trial import SHOWN
from search.database.lease import is_dead, live_status
from search.database.recorded import STUDIES, TRIALS, VALUES, complete, has_studies
from search.database.remaining import left_s
from search.database.store import Store, is_storable
from search.database.tables import PARENT, Job, Run

MOST = 1000
"""Jobs on a page."""

STATUSES = ("queued", "running", "stopped", "failed", "finished")

STATES = ("complete", "pruned", "diverged", "failed", *OPEN)
"""Of trials, as they are counted."""

COUNTED_AS = {"budget": "pruned"}
"""States that counts and filters do not tell from others: what ended it was not its own value."""

STATE_OF_RUN = {shown: COUNTED_AS.get(state, state) for state, shown in SHOWN.items()}
"""A trial's state by what its run should show, which the study's own commits write."""


CELL = case((Run.parameters.contains('"cell": "gru"'), "gru"), else_="lstm")
"""A trial's kind of cell, by the JSON of what it trains with, which no column holds."""

TURN = (Job.status.desc(), Job.priority.desc(), Job.created_at, Job.id)
"""The order of the queue: those whose driver died, the highest priority, the oldest."""

Ends = dict[str, tuple[float, float]]
"""The lowest and the highest value of complete trials, by kind of cell."""


class CursorError(ValueError):
    """A cursor is none that a page ended with."""


@dataclass(frozen=True)
class Wanted:
    """Which jobs to list, newest first, or in the order in which a supervisor takes them."""

    status: str | None = None
    name: str | None = None
    owner: str | None = None
    limit: int = 100
    cursor: str | None = None
    text: str = ""
    """Words that all stand in a job's id or in its owner's name."""
    in_turn: bool = False
    """Those that are queued, as the queue has them; such a list has no second page."""


def page(store: Store, wanted: Wanted) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of jobs in short, and the cursor of the next page, if there is one.

    Raises:
        CursorError: the cursor is none of ours.
    """
    now = time.time()
    with store.session() as session:
        dead = dead_owners(session, now) if wanted.status or wanted.in_turn else []
        jobs = session.scalars(chosen(wanted, now, dead)).all()
        shown = list(jobs[: wanted.limit])
        trials = counts_by_state(session, [job.id for job in shown])
        best = best_values(session, [job.id for job in shown if trials.get(job.id)])
        left, workers = left_s(session, shown), at_work(session, shown)
    more = len(jobs) > wanted.limit and not wanted.in_turn
    cursor = f"{shown[-1].created_at!r}/{shown[-1].id}" if more else None
    listed = [
        in_short(job, now, trials[job.id], best.get(job.id, {}))
        | {"left_s": left.get(job.id), "workers": workers.get(job.id)}
        for job in shown
    ]
    return listed, cursor


def chosen(wanted: Wanted, now: float, dead: Sequence[str]) -> Select[Job]:
    """Return the statement that finds the jobs of a page, and one more."""
    jobs = select(Job).limit(wanted.limit + 1)
    if wanted.in_turn:
        wanted, jobs = replace(wanted, status="queued", cursor=None), jobs.order_by(*TURN)
    else:
        jobs = jobs.order_by(Job.created_at.desc(), Job.id.desc())
    if wanted.status is not None:
        jobs = jobs.where(has_status(wanted.status, now, dead))
    for known, name in ((Job.name, wanted.name), (Job.owner, wanted.owner)):
        if name is not None:
            jobs = jobs.where(known == name if is_storable(name) else false())
    for word in filter(is_storable, wanted.text.split()):
        like = [known.icontains(word, autoescape=True) for known in (Job.id, Job.owner)]
        jobs = jobs.where(or_(*like))
    if wanted.cursor is not None:
        jobs = jobs.where(tuple_(Job.created_at, Job.id) < position(wanted.cursor))
    return jobs


def position(cursor: str) -> tuple[float, str]:
    """Return the moment and the id of the job that a page ended with.

    Raises:
        CursorError: the cursor is none of ours.
    """
    moment, _, job_id = cursor.partition("/")
    with suppress(ValueError):
        if is_storable(job_id):
            return float(moment), job_id
    raise CursorError(f"cursor: must be one that a page ended with, but got {cursor!r:.60}")


def dead_owners(session: Session, now: float) -> list[str]:
    """Return the owners of leases that still hold, though their processes have ended."""
    owners = select(Job.lease_owner).where(Job.status == "running", Job.lease_until >= now)
    return [owner for owner in session.scalars(owners) if owner is not None and is_dead(owner)]


def has_status(status: str, now: float, dead: Sequence[str] = ()) -> ColumnElement[bool]:
    """Return whether a job's status is this, with what a dead driver left taken for what it is."""
    driven = and_(
        Job.lease_owner.is_not(None), Job.lease_until >= now, Job.lease_owner.not_in(dead)
    )
    orphaned = and_(Job.status == "running", not_(driven))
    if status == "running":
        return and_(Job.status == "running", driven)
    if status == "stopped":
        return or_(Job.status == "stopped", and_(orphaned, not_(Job.supervised)))
    if status == "queued":
        return or_(Job.status == "queued", and_(orphaned, Job.supervised))
    return Job.status == status


def number_of(session: Session, status: str, now: float, dead: Sequence[str]) -> int:
    """Return how many jobs have a status; see `has_status`."""
    return session.scalar(select(func.count()).where(has_status(status, now, dead))) or 0


def counts_by_state(session: Session, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many trials of each job's search are in each state."""
    rows = session.execute(
        select(Run.study, Run.status, Run.tag, func.count())
        .where(Run.study.in_(ids), Run.trial != PARENT)
        .group_by(Run.study, Run.status, Run.tag)
    )
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for study, status, tag, number in rows:
        state = STATE_OF_RUN.get((status, tag), "failed")
        counts[study][state] = counts[study].get(state, 0) + number
    return counts


def best_values(session: Session, ids: Sequence[str]) -> dict[str, Ends]:
    """Return the lowest and the highest value of each job's complete trials of each cell."""
    if not ids or not has_studies(session):
        return {}
    name = STUDIES.c.study_name
    ends = select(name, CELL, func.min(VALUES.c.value), func.max(VALUES.c.value))
    runs = and_(Run.study == name, Run.trial == TRIALS.c.number)
    found: defaultdict[str, Ends] = defaultdict(dict)
    for study, cell, low, high in session.execute(
        complete(ends, ids).join(Run, runs).group_by(name, CELL)
    ):
        found[study][cell] = (low, high)
    return found


def best_by_cell(ends: Ends, *, maximize: bool) -> dict[str, float]:
    """Return the best value of each kind of cell that has one."""
    return {cell: pair[maximize] for cell, pair in sorted(ends.items())}


def at_work(session: Session, jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Return what the running ones of the jobs use: trials, processors, GPUs, part of their Ray.

    GPUs are None where each worker finds out what it gets, the part where the Ray is not shared.
    """
    running = [job for job in jobs if live_status(job) == "running"]
    if not running:
        return {}
    counts = (
        select(Run.job_id, func.count())
        .where(Run.job_id.in_([job.id for job in running]))
        .where(Run.trial != PARENT, Run.status == "RUNNING")
        .group_by(Run.job_id)
    )
    trials = dict(session.execute(counts).all())
    return {job.id: used_by(job, trials.get(job.id, 0)) for job in running}


def used_by(job: Job, trials: int) -> dict[str, Any]:
    """Return what so many trials of a job use."""
    needs = json.loads(job.document)["workers"]
    gpus = needs["gpus"]
    return {
        "trials": trials,
        "cpus": trials * needs["cpus"],
        "gpus": None if gpus == "auto" else trials * gpus,
        "part": trials / job.slots if job.slots else None,
    }


def best_trial(session: Session, study: str, *, maximize: bool) -> int | None:
    """Return Optuna's id of a study's best complete trial, the earliest of equals."""
    if not has_studies(session):
        return None
    better = VALUES.c.value.desc() if maximize else VALUES.c.value
    ranked = complete(select(TRIALS.c.trial_id), [study]).order_by(better, TRIALS.c.number)
    best: int | None = session.scalar(ranked.limit(1))
    return best


def in_short(job: Job, now: float, trials: dict[str, int], ends: Ends) -> dict[str, Any]:
    """Return a job as a list shows it."""
    document = json.loads(job.document)
    maximize = document["objective"]["direction"] == "maximize"
    best = best_by_cell(ends, maximize=maximize)
    result = job.found
    confirmed = result.summary() if result and result.confirmed else None
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "priority": job.priority,
        "status": live_status(job, now),
        "message": job.message,
        "created_at": job.created_at,
        "elapsed_s": round(job.elapsed_s, 1),
        "objective": document["objective"],
        "trials": counts_of(trials) | {"budget": document["budget"]["trials"]},
        "best_value": (max if maximize else min)(best.values(), default=None),
        "best_by_cell": best,
        "confirmed_mean": confirmed and confirmed["validation_mean"],
        "model": job.registered,
    }


def counts_of(states: dict[str, int]) -> dict[str, int]:
    """Return the number of trials in every state, and of all."""
    return {name: states.get(name, 0) for name in STATES} | {"total": sum(states.values())}


def pages(store: Store, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Yield all jobs that are wanted, page after page."""
    while True:
        jobs, cursor = page(store, wanted)
        yield from jobs
        if cursor is None:
            return
        wanted = replace(wanted, cursor=cursor)
