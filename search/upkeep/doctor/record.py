"""All that the database holds of one job, read at once, however damaged it is."""

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import select, text

from search.common.texts import first_line
from search.common.trial import Verdict
from search.database.outbox import read_epoch
from search.database.result import Result
from search.database.storage import read_trials
from search.database.store import Store, StoreError
from search.database.tables import PARENT, Job, JournalRow, Run, RunKey, confirmation
from search.document.spec import JobSpec

COLUMNS = ("study", "trial", "epoch", "job_id", "time_ms", "metrics", "verdict", "pruner")

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What reading a damaged text as what it should be may raise."""


@dataclass
class Epoch:
    """A row of the journal that is what was written."""

    row: JournalRow
    metrics: dict[str, float]
    verdict: Verdict
    delivered: bool

    def objective(self, metric: str) -> float:
        """Return the objective; a diverged epoch has none."""
        diverged = self.verdict is Verdict.DIVERGED
        return math.nan if diverged else self.metrics.get(metric, math.nan)


@dataclass
class Damage:
    """A row of the journal that cannot be read."""

    row: JournalRow
    why: str


@dataclass
class Record:
    """One job as its database has it."""

    job: Job
    spec: JobSpec
    studies: dict[str, list[FrozenTrial]]
    """The trials of the search and of the confirmation."""
    runs: dict[RunKey, Run]
    journal: dict[RunKey, dict[int, Epoch]] = field(default_factory=dict)
    damaged: dict[RunKey, dict[int, Damage]] = field(default_factory=dict)
    nowhere: list[str] = field(default_factory=list)
    """Rows of the journal whose very key is damaged."""

    @classmethod
    def read(cls, store: Store, optuna: RDBStorage, job_id: str) -> "Record":
        """Read a job.

        Raises:
            SpecError, ValueError: its document is damaged.
        """
        query = text(  # without types, which a damaged value may not have
            f"SELECT {', '.join(COLUMNS)}, delivered FROM journal "  # noqa: S608 - constants
            "WHERE job_id = :job ORDER BY study, trial, epoch"
        )
        with store.session() as session:
            job = session.get_one(Job, job_id)
            rows = session.execute(query, {"job": job_id}).all()
            runs = session.scalars(select(Run).where(Run.job_id == job_id)).all()
        studies = {name: list(read_trials(optuna, name)) for name in (job_id, confirmation(job_id))}
        record = cls(job, JobSpec.from_json(job.document), studies, {run.key: run for run in runs})
        for *values, delivered in rows:
            record.take(JournalRow(**dict(zip(COLUMNS, values, strict=True))), delivered)
        return record

    def take(self, row: JournalRow, delivered: object) -> None:
        """Sort in one row of the journal."""
        if not (isinstance(row.trial, int) and isinstance(row.epoch, int)):
            self.nowhere.append(f"trial {row.trial!r}, epoch {row.epoch!r} of {row.study}")
            return
        key = row.key
        try:
            if not isinstance(row.time_ms, int):
                raise TypeError(f"its time is {row.time_ms!r}")
            metrics, verdict, _ = read_epoch(row)
        except (StoreError, *UNREADABLE) as error:
            cause = error.__cause__ or error
            self.damaged.setdefault(key, {})[row.epoch] = Damage(row, brief(cause))
        else:
            epoch = Epoch(row, metrics, verdict, delivered == 1)
            self.journal.setdefault(key, {})[row.epoch] = epoch

    @property
    def searched(self) -> list[FrozenTrial]:
        """The trials of the search."""
        return self.studies[self.job.id]

    @property
    def confirmed(self) -> list[FrozenTrial]:
        """The trials of the confirmation."""
        return self.studies[confirmation(self.job.id)]

    @cached_property
    def trials(self) -> dict[RunKey, FrozenTrial]:
        """Every trial of both studies."""
        return {(name, t.number): t for name, trials in self.studies.items() for t in trials}

    @cached_property
    def measured(self) -> set[str]:
        """The names of all metrics that the job has reported."""
        epochs = (epoch for rows in self.journal.values() for epoch in rows.values())
        return {name for epoch in epochs for name in epoch.metrics}

    @property
    def parent(self) -> RunKey:
        """The key of the parent run."""
        return (self.job.id, PARENT)

    @cached_property
    def result(self) -> Result | None:
        """What the job found, None where it found nothing or the text is damaged."""
        try:
            return self.job.found
        except UNREADABLE:
            return None

    @cached_property
    def model(self) -> dict[str, Any] | None:
        """What was registered, None where nothing was or the text is damaged."""
        return read_object(self.job.model)

    @property
    def is_finished(self) -> bool:
        """Whether the job says that nothing is left to do."""
        return self.job.status == "finished"

    def subject(self, key: RunKey) -> str:
        """Return what people call a trial's record."""
        study, trial = key
        if trial == PARENT:
            return "parent run"
        if study == self.job.id:
            return f"trial {trial}"
        known = study in self.studies
        return f"confirm trial {trial}" if known else f"trial {trial} of {study}"

    def suspect(self, key: RunKey) -> set[int]:
        """Return the epochs of a trial about which journal and study disagree.

        What MLflow has of them may be all that is left.
        """
        journal, trial = self.journal.get(key, {}), self.trials.get(key)
        found = set(self.damaged.get(key, {}))
        if trial is not None:
            study, metric = trial.intermediate_values, self.spec.objective.metric
            found |= {
                epoch
                for epoch in study.keys() | journal.keys()
                if epoch not in study
                or epoch not in journal
                or not same(study[epoch], journal[epoch].objective(metric))
            }
        elif key == self.parent:
            ended = sum(t.state.is_finished() for t in self.searched)
            found |= set(range(1, ended + 1)) - journal.keys()
            found |= {s for s, one in journal.items() if one.metrics.get("trials_ended") != s}
        return found


def read_object(content: str | None) -> dict[str, Any] | None:
    """Return a JSON object, None where the text is none."""
    try:
        found = json.loads(content or "null")
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def same(one: float, other: float) -> bool:
    """Whether two numbers are equal; what is not a number equals itself."""
    return one == other or (math.isnan(one) and math.isnan(other))


def brief(error: BaseException) -> str:
    """Return the first line of an error, short."""
    return first_line(error)[:120]


def listed(numbers: "set[int] | list[int]") -> str:
    """Return numbers as people write them: ``epoch 3``, ``epochs 1-4, 7``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in spans]
    return f"epoch{'s' if len(numbers) != 1 else ''} {', '.join(words)}"
