"""Columns of an open table: what numbers its rows, and what has more digits than 32 bits."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.trainables.sources.written import long_table, of_parquet
from trainables.sources.columns import Columns


@pytest.mark.parametrize("name", ["id", "Index", "Unnamed: 0"])
@pytest.mark.parametrize("numbers", [[1, 2, 3, 4], ["p", "q", "r", "s"], [1.0, 2.0, 3.0, 4.0]])
def test_nobody_learns_from_the_numbers_of_rows(
    name: str, numbers: list[Any], tmp_path: Path
) -> None:
    """They tell the classes apart where the rows are sorted by class."""
    found = of_parquet(tmp_path, {name: numbers, **long_table()})

    assert found.features == ("speed",)


def test_measurements_that_are_called_like_numbers_of_rows_are_learned_from(
    tmp_path: Path,
) -> None:
    found = of_parquet(tmp_path, {"NO": [0.1, 0.2, 0.3, 0.4], "no": [1, 1, 2, 2], **long_table()})

    assert found.features == ("NO", "no", "speed")


@pytest.mark.parametrize("steps", [2, 6])
def test_the_numbers_of_rows_are_no_steps(steps: int, tmp_path: Path) -> None:
    wide = {f"x_{step}": [1, 2, 3] for step in range(steps)}
    found = of_parquet(tmp_path, {"index": [7, 8, 9], **wide, "label": ["a", "b", "a"]})

    assert found.cells == tuple(wide)


@pytest.mark.parametrize(
    "column", [pa.array([[1]] * 4), pa.nulls(4), pa.array([1.0] * 4, pa.float16())]
)
def test_what_nobody_uses_may_hold_anything(column: pa.Array, tmp_path: Path) -> None:
    named = Columns(label=("label",), sequence="sequence", step="step", features=("speed",))

    assert of_parquet(tmp_path, {"index": column, **long_table()}, named).features == ("speed",)


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint32(), pa.int64(), pa.float64()])
def test_what_32_bits_do_not_tell_apart_is_known(kind: pa.DataType, tmp_path: Path) -> None:
    seconds = pa.array([1_700_000_000 + 250 * n for n in range(4)], kind)
    said = "t.parquet, column speed: must vary by more than numbers of 32 bits"

    assert str(of_parquet(tmp_path, long_table(speed=seconds)).coarse).startswith(said)
    assert of_parquet(tmp_path, long_table(speed=pa.array(range(4), kind))).coarse is None


def test_a_step_that_hardly_differs_is_fine_where_others_do(tmp_path: Path) -> None:
    wide = {"x_0": [1013.25, 1013.2501], "x_1": [1000.0, 1020.0], "label": ["a", "b"]}

    assert of_parquet(tmp_path, wide).coarse is None
