"""A handful of the faults that `make chaos` injects, always the same."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.ordeal import Ordeal
from tests.chaos.plan import at_moment
from tests.chaos.world import Database, World

SMALL = ("budget.trials=8", "training.epochs=4", "confirm.seeds=1")

CASES: list[tuple[Database, tuple[str, ...]]] = [
    ("sqlite", ("mlflow-502-after", "worker-killed", "driver-killed")),
    ("postgresql", ("postgres-killed", "delivery-killed", "driver-killed")),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("database", "names"), CASES, ids=[case[0] for case in CASES])
def test_a_job_survives(database: Database, names: tuple[str, ...]) -> None:
    random = Random(2)  # noqa: S311 - not for secrets
    planned = [
        replace(at_moment(FAULTS[name], "training", random), delay_s=0.5, held_s=2.0)
        for name in names
    ]
    told: list[str] = []
    ordeal = Ordeal(World(database), planned, told.append, SMALL)
    try:
        ordeal.run()
    finally:
        ordeal.close()
    assert ordeal.findings == [], told
    assert ordeal.injected == Counter(names)
