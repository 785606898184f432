"""A study in the hands of this process, as a driver holds it, without Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray import tune

from search.common.home import Home
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import parse_job
from search.driver.engine import Engine
from search.driver.observer import Observer
from search.driver.packing import Packing
from search.driver.stage import Stage
from search.jobs.jobs import create
from search.study.cost import TYPICAL
from search.study.study import JobStudy

DOCUMENT = """
name: {name}
data: {{source: digits}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 8, high: 256}}
  layers: {{low: 1, high: 3}}
  learning_rate: {{low: 1.0e-4, high: 3.0e-2, log: true}}
pruner: {pruner}
training: {{epochs: {epochs}}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""
"""A job of which only the machinery counts."""


@dataclass(frozen=True)
class Leased:
    """One running job of an installation of its own."""

    home: Home
    store: Store
    lease: Lease
    study: JobStudy

    def engine(self, trainable: type[tune.Trainable], data: object, observer: Observer) -> Engine:
        """Return the engine that a driver would run over the study."""
        job_id = self.lease.job_id
        return Engine(
            iter([Stage(self.study, self.home.folder(job_id).child("search"))]),
            trainable=trainable,
            data=data,
            packing=Packing(self.study.spec, TYPICAL),
            scratch=self.home.scratch / job_id,
            observer=observer,
            should_stop=lambda: False,
            elapsed_s=lambda: 0.0,
        )


@contextmanager
def leased(
    document: str, folder: Path, *, database: str | None, tracking: str | None = None
) -> Iterator[Leased]:
    """Yield a new job of ``document`` that this process drives; its data set is never read.

    Args:
        document: its text.
        folder: of the installation.
        database: its URL; SQLite in the folder where None.
        tracking: URL of an MLflow server; SQLite in the folder where None.
    """
    home = Home(
        path=folder,
        database_url=database or f"sqlite:///{folder / 'gatetune.db'}",
        tracking_uri=tracking or f"sqlite:///{folder / 'mlflow.db'}",
        ray_address=None,
        checkpoints=str(folder / "checkpoints"),
        data=folder / "data",
    )
    home.create()
    spec = parse_job(document)
    store = Store.open(home.database_url)
    dataset = {"name": "none", "fingerprint": "0" * 64}
    job_id = create(store, spec, document, owner="bench", dataset=dataset)
    with Lease(store, job_id) as lease:
        JobRow(lease).begin()
        trials = spec.budget.trials
        study = JobStudy(store, lease, spec, name=job_id, fixed=[], trials=trials, searching=True)
        yield Leased(home, store, lease, study)
        study.shut()
    store.close()
