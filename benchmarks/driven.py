"""A search of trivial trials, driven with everything on."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leased import DOCUMENT, leased
from benchmarks.trivial import TrivialTrial
from search.common.trial import LiveTrial, Verdict
from search.database.store import undelivered
from search.driver.cluster import same_environment
from search.driver.observer import Observer
from search.tracking.courier import Courier


class Watcher:
    """Wants to know nothing."""

    def room(self, slots: int, gpus: float) -> None:
        """So many trials run at once."""

    def asked(self, live: LiveTrial) -> None:
        """A trial starts."""

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """An epoch was committed."""

    def lost(self, live: LiveTrial, reason: str, *, again: bool) -> None:
        """A trial lost its worker, which none should."""
        raise AssertionError(reason)

    def damaged(self, live: LiveTrial, what: str) -> None:
        """A checkpoint could not be used."""


@dataclass(frozen=True)
class Took:
    """Seconds that a search took, and that delivery to MLflow then still did."""

    searching: float
    draining: float


def search(trials: int, folder: Path, observer: Observer, *, database: str | None = None) -> Took:
    """Run a search with everything on: the study in SQL, the journal, delivery to MLflow.

    Its trials begin in processes that a local Ray has started before, as a job's do.

    Args:
        trials: how many.
        folder: of an installation of its own.
        observer: what is told of every trial.
        database: its URL; SQLite in the folder by default.
    """
    document = DOCUMENT.format(name="trivial", pruner="successive-halving", epochs=1, trials=trials)
    with same_environment(), leased(document, folder, database=database) as job:
        job_id = job.lease.job_id
        began = time.perf_counter()
        courier = Courier(job.home, job_id, job.lease.owner)
        job.engine(TrivialTrial, None, observer).run()
        searched = time.perf_counter() - began
        assert courier.drain(), "MLflow did not take everything"
        drained = time.perf_counter() - began - searched
        assert len(job.study.ended) == trials
        assert undelivered(job.store, job_id) == 0
    return Took(searched, drained)
