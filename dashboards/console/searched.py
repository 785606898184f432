"""A job's trials as the page of a job shows them, read once for each revision of the job."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from threading import Lock
from typing import Any

from search.database.store import Store
from search.database.tables import Job
from search.document.spec import JobSpec
from search.jobs import jobs

KEPT = 16
"""Jobs whose trials are kept."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """When and where a trial was trained, in milliseconds of Unix time; it may go on still."""

    began_ms: int
    ended_ms: int | None
    worker: str | None


@dataclass(frozen=True)
class Searched:
    """What there is of a job at one of its revisions."""

    job: Job
    rows: list[Row]
    """As `gatetune trials --json` has them, with what each costs, the confirmation's last."""
    curves: dict[int, tuple[float, ...]]
    """The objective of each epoch, by the trial of the search."""
    spans: dict[int, Span]
    """By the trial of the search."""

    @cached_property
    def spec(self) -> JobSpec:
        """The job's document."""
        return JobSpec.from_json(self.job.document)

    @property
    def metric(self) -> str:
        """Name of the objective."""
        return self.spec.objective.metric

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.spec.objective.direction == "maximize"

    @cached_property
    def trials(self) -> list[Row]:
        """The rows of the search alone."""
        return [row for row in self.rows if row["study"] == self.job.id]

    @cached_property
    def ranked(self) -> list[Row]:
        """Trials of the search that have a value, the best first; running ones by their best."""
        known = [row for row in self.trials if row["best_epoch_value"] is not None]
        sign = -1 if self.maximize else 1
        return sorted(known, key=lambda row: (sign * row["best_epoch_value"], row["trial"]))

    @cached_property
    def complete(self) -> list[Row]:
        """The complete trials of the search, the best first."""
        return [row for row in self.ranked if row["state"] == "complete"]

    @property
    def best(self) -> Row | None:
        """The best complete trial; where there is none, the one that is best so far."""
        return next(iter(self.complete or self.ranked), None)

    @cached_property
    def best_of_cell(self) -> dict[str, Row]:
        """The best complete trial of each cell."""
        best: dict[str, Row] = {}
        for row in self.complete:
            best.setdefault(row["cell"], row)
        return best

    def best_so_far(self, values: Iterable[float]) -> list[float]:
        """Return the best of the objective's values after each of them."""
        return list(accumulate(values, max if self.maximize else min))


@dataclass
class Place:
    """Where a job's trials are kept; whoever reads them anew holds the lock."""

    found: Searched | None = None
    lock: Lock = field(default_factory=Lock)

    def read(self, store: Store, job: Job) -> Searched:
        """Return a job's trials as of its present revision."""
        with self.lock:
            kept = self.found
            if kept is None or (kept.job.revision, kept.job.status) != (job.revision, job.status):
                kept = self.found = searched(store, job)
            return kept


class Shelf:
    """Keeps what was read last, so that those who watch a job together read it once."""

    def __init__(self) -> None:
        self.places: OrderedDict[tuple[str, str], Place] = OrderedDict()
        self.lock = Lock()

    def read(self, store: Store, job: Job) -> Searched:
        """Return a job's trials as of its present revision."""
        key = (str(store.engine.url), job.id)
        with self.lock:
            place = self.places.setdefault(key, Place())
            self.places.move_to_end(key)
            if len(self.places) > KEPT:
                self.places.popitem(last=False)
        return place.read(store, job)


SHELF = Shelf()


def searched(store: Store, job: Job) -> Searched:
    """Read a job's trials."""
    known = jobs.trials_with_runs(store, job)
    rows = [row | {"costs": trial.user_attrs.get("costs")} for row, trial, _ in known]
    own = [(trial, run) for row, trial, run in known if row["study"] == job.id]
    curves = {trial.number: trial.epochs for trial, _ in own}
    spans = {
        trial.number: Span(run.started_ms, run.ended_ms, run.worker) for trial, run in own if run
    }
    return Searched(job, rows, curves, spans)
