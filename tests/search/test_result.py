import pytest

from search.result import beats


@pytest.mark.parametrize(
    ("values", "others", "direction", "verdict"),
    [
        ([0.92, 0.94], [0.90, 0.92], "maximize", True),
        ([0.92, 0.94], [0.91, 0.93], "maximize", False),  # within the noise
        ([0.90, 0.92], [0.92, 0.94], "maximize", False),
        ([0.90, 0.92], [0.92, 0.94], "minimize", True),
        ([0.92, 0.94], [0.90, 0.92], "minimize", False),
        ([0.9, 0.9], [0.9, 0.9], "maximize", False),
        ([0.901], [0.90], "maximize", True),
        ([0.90], [0.90], "maximize", False),
        ([0.901], [0.80, 1.0], "maximize", True),
    ],
)
def test_beats(values: list[float], others: list[float], direction: str, verdict: bool) -> None:
    assert beats(values, others, direction) is verdict
