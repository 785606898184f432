import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from search.lease import Lease
from search.spec import JobSpec, parse_job
from search.store import Job, Store

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


def add_job(store: Store, spec: JobSpec, job_id: str = "tiny-0001") -> str:
    with store.session() as session:
        session.add(
            Job(
                id=job_id,
                name=spec.name,
                document=spec.to_json(),
                source=DOCUMENT,
                status="running",
                created_at=time.time(),
                dataset='{"name": "digits", "fingerprint": "00"}',
            )
        )
    return job_id


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gatetune.db'}"


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """An empty database on the tests' server."""
    store = Store(postgres)
    with store.engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    store.close()
    return postgres


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def owned() -> Callable[[Store, JobSpec], Lease]:
    """Makes a job and returns its lease, held but not renewed by a thread."""

    def make(store: Store, spec: JobSpec) -> Lease:
        lease = Lease(store, add_job(store, spec))
        lease.acquire()
        return lease

    return make
