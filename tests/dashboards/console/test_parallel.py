from typing import Any

import pytest

from dashboards.console.parallel import parallel, scaled
from tests.dashboards.console.searches import SOME


def test_lines_over_all_parameters() -> None:
    drawn = parallel(SOME)
    axes = drawn["layout"]["xaxis"]["ticktext"]
    assert axes == ["cell", "hidden size", "learning rate", "val accuracy"]
    (strong,) = [trace for trace in drawn["data"] if "best" in trace["name"]]
    assert strong["y"] == [1.0, 0.0, 0.0, 1.0, None]


@pytest.mark.parametrize(
    ("values", "places", "ticks"),
    [
        (["lstm", "gru", None], [1.0, 0.0, None], ["gru", "lstm"]),
        ([1, 3, 2], [0.0, 1.0, 0.5], ["1", "2", "3"]),
        ([0.001, 0.1, 0.01], [0.0, 1.0, 0.5], ["0.001", "0.01", "0.1"]),
        ([5, 5], [0.5, 0.5], ["5"]),
        ([True, False], [1.0, 0.0], ["False", "True"]),
        ([None, None], [None, None], []),
    ],
)
def test_an_axis(values: list[Any], places: list[float | None], ticks: list[str]) -> None:
    assert scaled(values)[0] == pytest.approx(places)
    assert [text for _, text in scaled(values)[1]] == ticks
