import pytest

from search.cost import Sizes
from search.expectation import expected_s
from tests.search.conftest import make_spec

SIZES = Sizes(train=1000, validation=100, steps=28, inputs=28, outputs=10)


def test_more_work_takes_longer_and_more_workers_shorter() -> None:
    alone = expected_s(make_spec("confirm.top=0"), SIZES, 1)
    assert expected_s(make_spec("confirm.top=0"), SIZES, 2) == pytest.approx(alone / 2)
    assert expected_s(make_spec("confirm.top=0", "budget.trials=12"), SIZES, 1) > 1.9 * alone
    assert expected_s(make_spec(), SIZES, 1) > alone
