"""A handful of the faults that `make chaos` injects, always the same, and what it would see."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from mlflow import MlflowClient
from sqlalchemy import text

from tests.chaos.faults import FAULTS
from tests.chaos.invariant import examine
from tests.chaos.ordeal import Ordeal
from tests.chaos.plan import at_moment, database_of, drawn
from tests.chaos.world import Database, World

SMALL = ("budget.trials=8", "training.epochs=4", "confirm.seeds=1")

NAMES: dict[Database, list[str]] = {
    "sqlite": ["mlflow-502-after", "worker-killed", "driver-killed"],
    "postgresql": ["postgres-killed", "delivery-killed", "driver-killed"],
}

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", params=list(NAMES))
def ended(request: pytest.FixtureRequest) -> Iterator[Ordeal]:
    """A job that met three faults while it trained, and has ended."""
    database: Database = request.param
    random = Random(2)  # noqa: S311 - not for secrets
    planned = [
        replace(at_moment(FAULTS[name], "training", random), delay_s=0.5, held_s=2.0)
        for name in NAMES[database]
    ]
    ordeal = Ordeal(World(database), planned, print, SMALL)
    try:
        ordeal.run()
        yield ordeal
    finally:
        ordeal.close()


def test_a_job_survives(ended: Ordeal) -> None:
    assert ended.findings == []
    assert ended.injected == Counter(NAMES[ended.world.database])


LOSSES = """
UPDATE trials SET state = 'RUNNING' WHERE number = 5;
DELETE FROM trial_intermediate_values WHERE trial_id = 3;
UPDATE journal SET metrics = '{"val_accuracy": 0.5}' WHERE trial = 1 AND epoch = 2;
DELETE FROM journal WHERE trial = 0 AND epoch = 1;
UPDATE jobs SET lease_owner = 'somebody'
"""


def test_what_is_wrong_is_seen(ended: Ordeal) -> None:
    store, world = ended.keeper.open(), ended.world
    with store.session() as session:
        for statement in LOSSES.split(";"):
            session.execute(text(statement))
    (world.home / "epoch.tmp").touch()
    client = MlflowClient(world.tracking.url)
    (experiment,) = client.search_experiments(filter_string="name = 'chaos'")
    job_id = str(ended.keeper.job_id)
    assert len(job_id) == len("chaos-7f3a91c2")  # on a server where others may have jobs
    tags = {"gatetune.job": job_id, "gatetune.study": "another"}
    client.create_run(experiment.experiment_id, tags=tags)
    found = list(examine(world, ended.keeper, ended.witness))
    assert {one.kind for one in found} == {"lost", "orphaned", "epochs", "other"}
    words = "\n".join(one.message for one in found)
    for expected in ("is RUNNING", "the epochs [2, ", "somebody", "epoch.tmp", "one too many"):
        assert expected in words


def test_a_seed_says_what_a_job_meets() -> None:
    for seed in range(40):
        database = database_of(seed)
        planned = drawn(seed, database, disk=True)
        assert planned == drawn(seed, database, disk=True)
        touched = {one.fault.touches for one in planned}
        assert ("database" in touched) <= (database == "postgresql")
        assert "disk" not in {one.fault.touches for one in drawn(seed, database, disk=False)}
