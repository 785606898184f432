"""A search of trials that train nothing: what it takes is the machinery's."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from search.courier import Courier
from search.engine import Engine, Observer
from search.home import Home
from search.jobrow import JobRow
from search.jobs import create
from search.lease import Lease
from search.spec import parse_job
from search.store import Store, undelivered
from search.study import JobStudy
from search.trial import LiveTrial, Verdict

DOCUMENT = """
name: trivial
data: {{source: digits}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 8, high: 256}}
  layers: {{low: 1, high: 3}}
  learning_rate: {{low: 1.0e-4, high: 3.0e-2, log: true}}
training: {{epochs: 1}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""


def objective(learning_rate: float, layers: int) -> float:
    """Return a number that costs nothing to compute."""
    return 1.0 - abs(learning_rate - 0.003) - 0.01 * layers


class TrivialTrial(tune.Trainable):
    """Trains nothing; keeps the contract of `RecurrentTrial`."""

    def setup(self, config: dict[str, Any], data: None) -> None:  # type: ignore[override]
        """Take the parameters."""
        self.parameters = config["parameters"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's parameters."""
        self.parameters = new_config["parameters"]
        return True

    def step(self) -> dict[str, Any]:
        """Report one epoch."""
        value = objective(self.parameters["learning_rate"], self.parameters["layers"])
        metrics = {"val_accuracy": value, "val_loss": 1 - value, "train_loss": 1 - value}
        return {"epoch": 1, "metrics": metrics, "outcome": "complete", "damaged": ()}


class Watcher:
    """Wants to know nothing."""

    def room(self, slots: int) -> None:
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

    Args:
        trials: how many.
        folder: of an installation of its own.
        observer: what is told of every trial.
        database: its URL; SQLite in the folder by default.
    """
    os.environ["GATETUNE_HOME"] = str(folder)
    if database is not None:
        os.environ["GATETUNE_DATABASE_URL"] = database
    text = DOCUMENT.format(trials=trials)
    spec = parse_job(text)
    home = Home.from_environment()
    home.create()
    store = Store.open(home.database_url)
    job_id = create(
        store, spec, text, owner="bench", dataset={"name": "none", "fingerprint": "0" * 64}
    )
    began = time.perf_counter()
    with Lease(store, job_id) as lease:
        JobRow(lease).begin()
        courier = Courier(home, job_id, lease.owner)
        study = JobStudy(store, lease, spec, name=job_id, fixed=[], trials=trials, searching=True)
        Engine(
            study,
            trainable=TrivialTrial,
            data=None,
            checkpoints=home.folder(job_id).child("search"),
            scratch=home.path / "scratch" / job_id,
            observer=observer,
            should_stop=lambda: False,
            elapsed_s=lambda: 0.0,
        ).run()
        searched = time.perf_counter() - began
        assert courier.drain(), "MLflow did not take everything"
    took = Took(searched, time.perf_counter() - began - searched)
    assert len(study.ended) == trials
    assert undelivered(store, job_id) == 0
    study.shut()
    store.close()
    return took
