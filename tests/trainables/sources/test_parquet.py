"""Tables in Parquet files: what their columns may hold, and what is said of those that may not."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.trainables.sources.written import long_table, of_parquet
from trainables.faults import DatasetError
from trainables.sources.columns import Columns
from trainables.sources.files import read

BROKEN_PARQUET: dict[str, tuple[dict[str, Any], str]] = {
    "no rows": (
        {"x": pa.array([], pa.float32()), "label": pa.array([], pa.int64())},
        "t.parquet: must have rows, but has none",
    ),
    "numbers as text": (
        long_table(speed=["1", "2", "3", "4"]),
        (
            "t.parquet, row 1, column speed: must be a number, but is the text '1'"
            "; data.features names what is learned from"
        ),
    ),
    "nothing, as text": (
        long_table(speed=pa.array([None] * 4, pa.string())),
        (
            "t.parquet, row 1, column speed: must be a number, but is the text None"
            "; data.features names what is learned from"
        ),
    ),
    "mixed": (
        long_table(speed=["1", None, "fast", "4"]),
        (
            "t.parquet, row 3, column speed: must be a number, but is the text 'fast'"
            "; data.features names what is learned from"
        ),
    ),
    "lists": (
        long_table(speed=[[1.0], [2.0], [3.0], [4.0]]),
        "t.parquet, column speed: must hold numbers, but holds list<element: double>",
    ),
    "a list as label": (
        long_table(label=[[1], [1], [2], [2]]),
        "t.parquet, column label: must hold text or numbers, but holds list<element: int64>",
    ),
    "bytes as label": (
        long_table(label=[b"x", b"x", b"y", b"\xff"]),
        "t.parquet, row 4, column label: must be UTF-8 text, but got b'\\xff'",
    ),
    "times as a feature": (
        long_table(speed=[timedelta(1)] * 4),
        "t.parquet, column speed: must hold numbers, but holds duration[us]",
    ),
    "infinite": (
        long_table(speed=np.array([1, 2, np.inf, 3], np.float16)),
        "t.parquet, row 3, column speed: must be finite and at most 3.4e38 in size, but got inf",
    ),
    "a label that is no number": (
        long_table(label=[1.0, 1.0, np.nan, np.nan]),
        "t.parquet, row 3, column label: must be finite, but got nan",
    ),
    "a step that is no number": (
        long_table(step=[0.0, 1.0, np.inf, np.nan]),
        "t.parquet, row 3, column step: must be finite, but got inf",
    ),
    "no labels at all": (
        long_table(label=pa.nulls(4)),
        "t.parquet, row 1, column label: must have a value, but it is empty",
    ),
    "blanks as label": (
        long_table(label=["x", "x", " ", " "]),
        "t.parquet, row 3, column label: must have a value, but it is empty",
    ),
}


@pytest.mark.parametrize("case", BROKEN_PARQUET)
def test_broken_parquet(case: str, tmp_path: Path) -> None:
    columns, message = BROKEN_PARQUET[case]

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        of_parquet(tmp_path, columns)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-9], lambda data: data[:20], lambda data: b"PAR1" * 9, lambda _: b"x"],
)
def test_what_is_no_parquet_file_is_named_as_such(damage: Any, tmp_path: Path) -> None:
    of_parquet(tmp_path, long_table())
    path = tmp_path / "t.parquet"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DatasetError, match=r"^t\.parquet: must be a Parquet file, but .+[^.]$"):
        read(path, Columns())


@pytest.mark.parametrize(
    "changed",
    [
        {"speed": pa.array([1, 2, 3, 4], pa.uint8())},
        {"speed": pa.array([1, 2, 3, 4], pa.int64())},
        {"speed": np.array([1, 2, 3, 4], np.float16)},
        {"speed": [Decimal("1.0"), Decimal("2.0"), Decimal("3.0"), Decimal("4.0")]},
        {"step": pa.array([1, 0, 1, 0], pa.uint8()), "speed": [2, 1, 4, 3]},
        {"step": pa.array([2**63, 0, 2**64 - 1, 0], pa.uint64()), "speed": [2, 1, 4, 3]},
        {"step": [True, False, True, False], "speed": [2, 1, 4, 3]},
        {"step": [0.5, 0.25, 2, 1], "speed": [2, 1, 4, 3]},
        {"step": [0, -(2**63), 2**63 - 1, 0], "speed": [2, 1, 4, 3]},
        {"step": [date(2025, 1, 2), date(2025, 1, 1)] * 2, "speed": [2, 1, 4, 3]},
        {"step": [datetime(2025, 1, 2, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)] * 2,
         "speed": [2, 1, 4, 3]},
        {"step": [timedelta(2), timedelta(1)] * 2, "speed": [2, 1, 4, 3]},
        {"sequence": pa.array(["a", "a", "b", "b"]).dictionary_encode()},
        {"sequence": [2**60, 2**60, 2**60 + 1, 2**60 + 1]},
        {"label": pa.array(["x", "x", "y", "y"]).dictionary_encode()},
        {"label": pa.array(["x", "x", "y", "y"], pa.large_string())},
        {"label": pa.array(["x", "x", "y", "y"], pa.string_view())},
        {"label": pa.array([b"x", b"x", b"y", b"y"])},
        {"__index_level_0__": [7, 3, 9, 1]},
    ],
)  # fmt: skip
def test_parquet_that_holds_the_same(changed: dict[str, Any], tmp_path: Path) -> None:
    found = of_parquet(tmp_path, long_table(**changed))

    assert found.x.tolist() == [[1], [2], [3], [4]]
    assert found.x.dtype == np.float32
    assert found.lengths.tolist() == [2, 2]
    assert found.labels.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array([1, 1, 2, 2], pa.int8()), [1, 2]),
        (pa.array([1.0, 1.0, 2.5, 2.5]), [1, 2.5]),
        (pa.array([True, True, False, False]), [True, False]),
        (pa.array([Decimal(1), Decimal(1), Decimal(2), Decimal(2)]), [1, 2]),
        (pa.array([date(1970, 1, 1)] * 2 + [date(1970, 1, 3)] * 2), ["1970-01-01", "1970-01-03"]),
    ],
)
def test_labels_of_other_kinds(column: pa.Array, names: list[Any], tmp_path: Path) -> None:
    assert of_parquet(tmp_path, long_table(label=column)).labels.tolist() == names
