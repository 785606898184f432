"""Of what was measured, which goals are reached: those on the line are, those beyond it are not."""

from argparse import Namespace
from contextlib import nullcontext
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import delivery, growth, overhead, time_to_target
from benchmarks.driven import Took
from benchmarks.growth import Measured
from benchmarks.overhead import Trained
from benchmarks.time_to_target import Run

Patch = pytest.MonkeyPatch


def verdicts(benchmark: ModuleType, **options: Any) -> list[bool]:
    """Measure, and return for each goal whether it is reached."""
    found = benchmark.measure(Namespace(short=False, **options))
    goals = [line for line in found.remarks if line.startswith("Goal: ")]
    return [line.endswith(": reached.") for line in goals]


@pytest.mark.parametrize(
    ("at_s", "error", "reached"),
    [(20.0, 0.02, [True, True]), (20.1, 0.02, [False, True]), (20.0, 0.021, [True, False])],
)
def test_the_glues_best(at_s: float, error: float, reached: list[bool], monkeypatch: Patch) -> None:
    curve = [(at_s, 0.97), (150.0, 1 - error)]
    alike = Run([(150.0, 0.5)], 1, 200.0)  # does not count
    monkeypatch.setattr(time_to_target, "glue", lambda *_: Run([(100.0, 0.97)], 20, 200.0))
    monkeypatch.setattr(
        time_to_target, "gatetune", lambda _, __, more: alike if more else Run(curve, 30, 200.0)
    )
    assert verdicts(time_to_target, seeds=3, trials=20) == reached


@pytest.mark.parametrize(
    ("ours_s", "last_s", "end_s", "reached"),
    [
        (0.06, 315.0, 315.0, [True, True, True, True]),
        (0.061, 315.0, 315.0, [False, False, True, True]),
        (0.06, 315.0, 316.0, [True, True, True, False]),
        (0.06, 316.0, 317.0, [True, True, False, False]),
    ],
)
def test_the_machinery(
    ours_s: float, last_s: float, end_s: float, reached: list[bool], monkeypatch: Patch
) -> None:
    def alone(what: object, trials: int) -> Took:
        ours = what is overhead.gatetune
        return Took(ours_s * trials / 2, ours_s * trials / 2) if ours else Took(2.4 * trials, 0.0)

    trained = Trained(300.0, {"to the last epoch": last_s, "to the end": end_s}, 0.7)
    monkeypatch.setattr(overhead, "warm", lambda: None)
    monkeypatch.setattr(overhead, "alone", alone)
    monkeypatch.setattr(overhead, "training", lambda *_: trained)
    assert verdicts(overhead) == reached


@pytest.mark.parametrize(
    ("last_s", "grown_mb", "reached"),
    [(0.04, 20.0, [True, True]), (0.041, 20.0, [False, True]), (0.04, 20.1, [True, False])],
)
def test_growth(last_s: float, grown_mb: float, reached: list[bool], monkeypatch: Patch) -> None:
    flat = Measured("SQLite", 0.02, 0.02, 800.0, 0.0)
    steep = Measured("PostgreSQL", 0.02, last_s, 800.0, grown_mb)
    monkeypatch.setattr(growth, "Postgres", Mock())
    monkeypatch.setattr(growth, "alone", Mock(side_effect=[flat, steep]))
    assert verdicts(growth) == reached


@pytest.mark.parametrize(
    ("journal", "both", "reached"),
    [(500.0, 500.0, [True, True]), (499.0, 500.0, [False, True]), (500.0, 499.0, [True, False])],
)
def test_deliveries(journal: float, both: float, reached: list[bool], monkeypatch: Patch) -> None:
    def ours(name: str, *_: object) -> dict[str, float]:
        slow = name == "PostgreSQL"
        return {
            f"{name}, journal to MLflow": journal if slow else 900.0,
            f"{name}, both at once": both if slow else 900.0,
        }

    monkeypatch.setattr(delivery, "Postgres", Mock())
    monkeypatch.setattr(delivery, "mlflow_server", lambda _: nullcontext("http://localhost"))
    monkeypatch.setattr(delivery, "ours", ours)
    monkeypatch.setattr(delivery, "glue", lambda *_: {delivery.CALLBACK: 10.0})
    assert verdicts(delivery) == reached
