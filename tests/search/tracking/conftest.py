"""A job whose rows are to be delivered, and what MLflow has of it."""

import json
from collections.abc import Iterator
from typing import Any

import mlflow
import pytest
from sqlalchemy import update

from search.common.home import Home
from search.database.store import Store
from search.database.tables import PARENT, Job, JournalRow, Run
from search.tracking.handover import Delivery
from search.tracking.tracking import Tracking
from tests.search.conftest import add_job, make_spec

JOB = "tiny-0001"
OWNER = "elsewhere:1:2:ab"


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    add_job(opened, make_spec(), JOB)
    owned_by(opened, OWNER)
    add_run(opened, PARENT)
    yield opened
    opened.close()


def connected(home: Home, store: Store) -> Delivery:
    made = Delivery(store, JOB, OWNER, Tracking(home, JOB, "tiny"))
    made.start()
    return made


def owned_by(store: Store, owner: str) -> None:
    with store.session() as session:
        session.execute(update(Job).values(lease_owner=owner, lease_until=9e9))


def add_run(store: Store, trial: int, *values: float, **columns: Any) -> None:
    """Add a trial with a value of `val_accuracy` for each epoch."""
    with store.session() as session:
        session.add(
            Run(
                study=JOB,
                trial=trial,
                job_id=JOB,
                name=f"trial {trial}",
                parameters='{"layers": 1}',
                started_ms=1000 + trial,
                **{"status": "RUNNING", **columns},
            )
        )
        session.add_all(
            JournalRow(
                study=JOB,
                trial=trial,
                epoch=epoch,
                job_id=JOB,
                time_ms=2000 + epoch,
                metrics=json.dumps({"val_accuracy": value, "epoch_s": 0.1}),
                verdict="continue",
                pruner="{}",
            )
            for epoch, value in enumerate(values, start=1)
        )


def forget(store: Store) -> None:
    """Leave the database as if the process had died before it noted what MLflow has."""
    with store.session() as session:
        session.execute(update(JournalRow).values(delivered=False))
        session.execute(update(Run).values(delivered=None, run_id=None))


def in_mlflow(home: Home) -> dict[int, mlflow.entities.Run]:
    """Return the job's runs by trial; fails where a trial has two."""
    runs = list(Tracking(home, JOB, "tiny").runs())
    by_trial = {int(run.data.tags.get("gatetune.trial", PARENT)): run for run in runs}
    assert len(by_trial) == len(runs)
    return by_trial


def history(home: Home, trial: int) -> list[tuple[int, float, int]]:
    client = Tracking(home, JOB, "tiny").client
    run_id = in_mlflow(home)[trial].info.run_id
    found = client.get_metric_history(run_id, "val_accuracy")
    return sorted((metric.step, metric.value, metric.timestamp) for metric in found)
