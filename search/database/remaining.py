"""How long jobs will still train, for those who only look: from the epochs that they have done."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from search.common.trial import SHOWN
from search.database.lease import live_status
from search.database.tables import PARENT, Job, JournalRow, Run, confirmation
from trainables.config import TrialConfig

RECENT = 200
"""Trials of a study, the newest, that say how many epochs one has: all may be a million."""


class Group(NamedTuple):
    """Trials of a study whose runs show the same."""

    status: str
    tag: str | None
    is_recent: bool
    trials: int
    epochs: int
    began_ms: int | None
    """When the first epoch of a job's first trials had ended."""

    @property
    def is_open(self) -> bool:
        """Whether they run, or were interrupted."""
        return (self.status, self.tag) in (SHOWN["running"], SHOWN["waiting"])

    @property
    def is_complete(self) -> bool:
        """Whether nothing ended them early."""
        return (self.status, self.tag) == SHOWN["complete"]


FIRST = 16
"""Trials, one of which has reported first."""


@dataclass(frozen=True)
class Done:
    """What the trials of a study have done so far."""

    ended: int = 0
    """Trials that have ended."""
    recent: int = 0
    """Those of them that are among the newest."""
    recent_epochs: int = 0
    complete: int = 0
    """Those of the newest that nothing ended early."""
    complete_epochs: int = 0
    open: int = 0
    """Trials that run, or were interrupted."""
    open_epochs: int = 0
    began_ms: int | None = None
    """When the first epoch had ended; None where there is none, or it is long ago."""

    @classmethod
    def of(cls, groups: Sequence[Group]) -> "Done":
        """Return the sums over a study's groups."""

        def total(chosen: Sequence[Group]) -> tuple[int, int]:
            return sum(one.trials for one in chosen), sum(one.epochs for one in chosen)

        ended = [one for one in groups if not one.is_open]
        recent = [one for one in ended if one.is_recent]
        complete = [one for one in recent if one.is_complete]
        still_open = [one for one in groups if one.is_open]
        began = min((one.began_ms for one in groups if one.began_ms is not None), default=None)
        return cls(total(ended)[0], *total(recent), *total(complete), *total(still_open), began)

    @property
    def typical(self) -> float | None:
        """Epochs of a trial that has ended; None where none has."""
        return self.recent_epochs / self.recent if self.recent else None

    @property
    def epochs(self) -> float:
        """Epochs of all trials, about."""
        return self.ended * (self.typical or 0.0) + self.open_epochs


def left_s(session: Session, jobs: Sequence[Job]) -> dict[str, float]:
    """Return the seconds that jobs will still search and confirm; registering is not in them.

    The epochs that are left, at the pace of those that were: the mean over all that the job has
    run. Jobs that do not run, or have no epoch yet, are left out. Their drivers know more.
    """
    running = [job for job in jobs if live_status(job) == "running"]
    ids = [job.id for job in running]
    done = done_by(session, ids) if ids else {}
    found = {
        job.id: left_of(job, done.get(job.id, Done()), done.get(confirmation(job.id), Done()))
        for job in running
    }
    return {job_id: round(left, 1) for job_id, left in found.items() if left is not None}


def done_by(session: Session, ids: Sequence[str]) -> dict[str, Done]:
    """Return what the trials of each study of the jobs have done."""
    studies = [*ids, *map(confirmation, ids)]
    newest = (
        select(Run.study, func.max(Run.trial).label("trial"))
        .where(Run.study.in_(studies))
        .group_by(Run.study)
        .subquery()
    )
    is_recent = (Run.trial > newest.c.trial - RECENT).label("is_recent")
    epochs = and_(
        JournalRow.study == Run.study,
        JournalRow.trial == Run.trial,
        or_(is_recent, Run.status == "RUNNING"),
    )
    trials, counted = func.count(Run.trial.distinct()), func.count(JournalRow.epoch)
    at_first = and_(JournalRow.epoch == 1, JournalRow.trial < FIRST)
    began_ms = func.min(case((at_first, JournalRow.time_ms)))
    rows = session.execute(
        select(Run.study, Run.status, Run.tag, is_recent, trials, counted, began_ms)
        .join(newest, newest.c.study == Run.study)
        .outerjoin(JournalRow, epochs)
        .where(Run.trial != PARENT)
        .group_by(Run.study, Run.status, Run.tag, is_recent)
    )
    groups: defaultdict[str, list[Group]] = defaultdict(list)
    for study, status, tag, recent, number, reported, began in rows:
        groups[study].append(Group(status, tag, recent, number, reported, began))
    return {study: Done.of(own) for study, own in groups.items()}


def start_of(job: Job, began_ms: int | None) -> float:
    """Return the seconds from a job's start to its first epoch; 0 where they are not known."""
    start_s = (began_ms or 0) / 1000 - (job.started_at or math.inf)
    return start_s if 0 < start_s < job.elapsed_s else 0.0


def left_of(job: Job, searched: Done, confirmed: Done) -> float | None:
    """Return the seconds that are left of a job; None before its first epoch.

    A job that shares its Ray starts workers anew for the confirmation, which takes as long as
    several epochs.
    """
    if job.result is not None:
        return 0.0
    epochs = searched.epochs + confirmed.epochs
    if not epochs or not job.elapsed_s:
        return None
    start_s = start_of(job, searched.began_ms)
    epoch_s = (job.elapsed_s - start_s) / epochs
    document = json.loads(job.document)
    if job.closed is not None or confirmed.epochs:
        search_s, possible = 0.0, searched.complete
    else:
        search_s = epoch_s * search_epochs(document, searched)
        possible = document["budget"]["trials"]
    hours = document["budget"]["hours"]
    if hours is not None:
        search_s = min(search_s, max(0.0, hours * 3600 - job.elapsed_s))
    again = confirm_epochs(document, searched, confirmed, possible)
    starts = job.supervised and again and not confirmed.epochs
    return search_s + epoch_s * again + (start_s if starts else 0.0)


def search_epochs(document: Mapping[str, Any], searched: Done) -> float:
    """Return the epochs that a search may still be expected to have."""
    full = full_epochs(document, searched)
    typical = full if searched.typical is None else searched.typical
    budget: int = document["budget"]["trials"]
    unasked = max(0, budget - searched.ended - searched.open)
    reached = searched.open_epochs / searched.open if searched.open else 0.0
    # Trials that have come farther than others do are those that may well go on to the end.
    expected = typical if reached < typical else full
    return unasked * typical + searched.open * max(0.0, expected - reached)


def confirm_epochs(
    document: Mapping[str, Any], searched: Done, confirmed: Done, possible: int
) -> float:
    """Return the epochs that a confirmation will still have, of at most so many finalists."""
    confirm = document["confirm"]
    if not confirm["top"]:
        return 0.0
    finalists: int = min(confirm["top"] + bool(document["baseline"]), possible)
    unended: int = max(0, finalists * confirm["seeds"] - confirmed.ended)
    return max(0.0, unended * full_epochs(document, searched) - confirmed.open_epochs)


def full_epochs(document: Mapping[str, Any], searched: Done) -> float:
    """Return the epochs of a trial that nothing ends early."""
    if searched.complete:
        return searched.complete_epochs / searched.complete
    default = TrialConfig.model_fields["epochs"].default
    epochs: int = document["training"].get("epochs", default)
    return float(epochs)
