import pytest

from search.drafting.expectation import JOB_S, expected_s
from search.study.cost import Sizes
from tests.search.conftest import make_spec

SIZES = Sizes(train=1000, validation=100, steps=28, inputs=28, outputs=10)


def trained(*overrides: str, at_once: int = 1) -> float:
    """Return the seconds of trials alone."""
    return expected_s(make_spec(*overrides), SIZES, at_once) - JOB_S


def test_more_work_takes_longer_and_more_workers_shorter() -> None:
    alone = trained("confirm.top=0")
    assert trained("confirm.top=0", at_once=2) == pytest.approx(alone / 2)
    assert trained("confirm.top=0", "budget.trials=12") == pytest.approx(2 * alone)
    assert trained() > alone
    assert trained("confirm.top=0", "training.epochs=8") == pytest.approx(2 * alone)


def test_neither_hours_nor_a_small_space_are_gone_beyond() -> None:
    few = "space={cell: [gru, lstm], hidden_size: [16]}"
    assert trained(few, "confirm.top=0", "budget.trials=1000") == pytest.approx(
        trained(few, "confirm.top=0", "budget.trials=2")
    )
    hours = ("budget.trials=1000", "budget.hours=0.001")
    assert trained("confirm.top=0", *hours) == pytest.approx(3.6)
    assert trained(*hours) > 3.6
