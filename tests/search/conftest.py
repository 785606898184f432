import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from sqlalchemy import Engine, text, update

from search.common.home import Home
from search.common.trial import LiveTrial, Proposal
from search.database.lease import Lease, identity
from search.database.result import Candidate, Result
from search.database.storage import open_storage
from search.database.store import Store
from search.database.tables import Job
from search.document.spec import JobSpec, parse_job
from search.study.study import JobStudy
from tests.search.installations import Databases, installed, write_tables
from trainables.datasets import SequenceDataset, load_dataset

DOCUMENT = """
name: tiny
data: {source: digits}
space:
  cell: [lstm, gru]
  hidden_size: {low: 8, high: 64, step: 8}
  learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}
training: {epochs: 4, layers: 1}
budget: {trials: 6}
pruner: none
"""


def make_spec(*overrides: str) -> JobSpec:
    return parse_job(DOCUMENT, overrides)


def add_job(store: Store, spec: JobSpec, job_id: str = "tiny-0001", **values: object) -> str:
    made = {
        "name": spec.name,
        "document": spec.to_json(),
        "source": DOCUMENT,
        "status": "running",
        "created_at": time.time(),
        "dataset": '{"name": "digits", "fingerprint": "00"}',
    }
    with store.session() as session:
        session.add(Job(id=job_id, **made | values))
    return job_id


def set_job(store: Store, job_id: str = "tiny-0001", **values: object) -> None:
    with store.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def dead_owner() -> str:
    """Return the name of a process of this host that has ended."""
    place, pid, born, token = identity().rsplit(":", 3)
    return f"{place}:{pid}:{int(born) - 1}:{token}"


def open_study(store: Store, lease: Lease, spec: JobSpec) -> JobStudy:
    return JobStudy(
        store,
        lease,
        spec,
        name=lease.job_id,
        fixed=[
            Proposal(parameters, overrides, attrs={"baseline": True})
            for parameters, overrides in spec.baselines()
        ],
        trials=spec.budget.trials,
        searching=True,
    )


def asked(study: JobStudy) -> LiveTrial:
    live = study.ask()
    assert live is not None
    return live


def train(study: JobStudy, *values: float) -> LiveTrial:
    """Let the next trial report a value an epoch, its last one at the end."""
    live = asked(study)
    for epoch, value in enumerate(values, start=1):
        metrics = {"val_accuracy": value, "val_loss": 1 - value}
        study.report(live.number, epoch, metrics, "complete" if epoch == len(values) else "running")
    return live


def finish_job(store: Store, job_id: str) -> Result:
    """Write what a driver writes at the end of a job that was confirmed over two seeds."""
    winner = Candidate(
        of=1,
        parameters={"cell": "gru", "hidden_size": 16, "learning_rate": 0.01},
        baseline=False,
        runs=(0, 2),
        validation=(0.90, 0.92),
        test=(0.88, 0.90),
    )
    rival = winner.model_copy(update={"of": 0, "baseline": True, "runs": (1, 3)})
    rival = rival.model_copy(update={"validation": (0.80, 0.82), "test": (0.78, 0.80)})
    result = Result(
        metric="val_accuracy",
        direction="maximize",
        study=f"{job_id}/confirm",
        confirmed=True,
        chosen=winner,
        baselines=(rival,),
        chance=0.001,
    )
    storage = open_storage(store)
    optuna.create_study(
        study_name=job_id, storage=storage, direction="maximize", load_if_exists=True
    )
    storage.engine.dispose()
    with store.session() as session:
        job = session.get_one(Job, job_id)
        described = {"train": 1149, "validation": 288, "test": 360, "steps": 8, "features": 8}
        job.dataset = json.dumps(described | {"classes": ["a", "b"]} | job.data)
        job.status, job.result, job.elapsed_s = "finished", result.model_dump_json(), 187.0
        job.model = '{"name": "tiny", "version": "1", "alias": "champion", "reason": "it won"}'
        job.lease_owner = None
    return result


@pytest.fixture
def installation(home: Path) -> Home:
    """The installation of the test's own folder, made."""
    return installed()


@pytest.fixture(scope="session")
def digits() -> SequenceDataset:
    return load_dataset("digits", validation=0.2, seed=0, data_dir=Path())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gatetune.db'}"


@pytest.fixture(scope="session")
def databases(postgres: str) -> Iterator[Databases]:
    found = Databases(postgres)
    yield found
    found.server.close()


@pytest.fixture
def postgres_url(databases: Databases) -> str:
    """An empty database on the tests' server."""
    return databases.make("tested")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database, on each kind of server that it may live on."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """Gatetune's tables, without rows."""
    write_tables(sqlite_url)
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_store(databases: Databases) -> Iterator[Store]:
    """The same on the tests' server."""
    opened = Store.open(databases.make("tested", "prepared"))
    yield opened
    opened.close()


def end_others(engine: Engine) -> None:
    """End all connections to a database on PostgreSQL but one of this engine."""
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest) -> Store:
    """The same, on each kind of server that they may live on."""
    name = {"sqlite": "store", "postgres": "postgres_store"}[request.param]
    found: Store = request.getfixturevalue(name)
    return found


@pytest.fixture
def owned() -> Callable[[Store, JobSpec], Lease]:
    """Makes a job and returns its lease, held but not renewed by a thread."""

    def make(store: Store, spec: JobSpec) -> Lease:
        lease = Lease(store, add_job(store, spec))
        lease.acquire()
        return lease

    return make
