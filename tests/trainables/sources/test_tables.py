"""The forms of a table: which columns are what, and which rows make a sequence."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from tests.trainables.sources.written import LONG, example, long_table, of_csv, of_parquet
from trainables.faults import DatasetError
from trainables.sources import tables
from trainables.sources.columns import Columns
from trainables.sources.files import read


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            Columns(label=("mood",)),
            (
                "data.label: must be a column of t.csv, but got 'mood'; it has sequence, step, "
                "speed, label"
            ),
        ),
        (Columns(label=("label", "mood")), "data.label.1: must be a column of t.csv"),
        (Columns(sequence="Sequence"), "data.sequence: must be a column of t.csv"),
        (Columns(step="time"), "data.step: must be a column of t.csv, but got 'time'"),
        (Columns(group="user"), "data.group: must be a column of t.csv, but got 'user'"),
        (Columns(time="day"), "data.time: must be a column of t.csv, but got 'day'"),
        (Columns(features=("speed", "x")), "data.features.1: must be a column of t.csv"),
        (
            Columns(label=("speed",), features=("speed",)),
            (
                "t.csv, column speed: must be one thing only, but is named as data.label and as "
                "data.features"
            ),
        ),
        (
            Columns(label=("label", "sequence"), features=("step", "speed")),
            "t.csv, column label: must be a number, as one of several labels, but got 'x'",
        ),
        (
            Columns(group="speed"),
            "data.features: t.csv must have columns to learn from",
        ),
        (
            Columns(group="speed", features=("step",)),
            "t.csv, row 2, column speed: must be the same in all rows of a sequence, but is 2",
        ),
    ],
)
def test_columns_that_are_named_and_do_not_fit(
    columns: Columns, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}"):
        of_csv(tmp_path, LONG, columns)


def test_the_long_form(tmp_path: Path) -> None:
    found = of_csv(tmp_path, LONG)

    assert found.x.tolist() == [[1], [2], [3], [4]]
    assert found.x.dtype == np.float32
    assert found.lengths.tolist() == [2, 2]
    assert found.labels.tolist() == ["x", "y"]
    assert (found.features, found.targets) == (("speed",), ("label",))
    assert found.groups is found.times is None


def with_steps(first: str, second: str) -> str:
    """`LONG` with other steps than 0 and 1."""
    return re.sub(
        "^([ab]),0,",
        rf"\1,{first},",
        re.sub("^([ab]),1,", rf"\1,{second},", LONG, flags=re.M),
        flags=re.M,
    )


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace(",", ";"),
        LONG.replace(",", "\t"),
        LONG.replace(",", "|"),
        LONG.replace("\n", "\r\n"),
        "\ufeff" + LONG,
        LONG.removesuffix("\n"),
        LONG + "\n\n",
        LONG.replace("speed", '"speed"').replace("x", '"x"'),
        LONG.replace("sequence", "Series_ID").replace("label", "CLASS").replace("step", "t"),
        "sequence,step,speed,label\nb,1,4,y\na,1,2,x\nb,0,3,y\na,0,1,x\n",
        "sequence,speed,label\na,1,x\nb,3,y\na,2,x\nb,4,y\n",
        with_steps("2024-12-31", "2025-01-01"),
        with_steps("2025-01-01T09:00:00Z", "2025-01-01T10:00:00Z"),
        with_steps("9.5", "1e1"),
        with_steps("09:30:00", "10:00:00"),
    ],
)
def test_text_that_holds_the_same(text: str, tmp_path: Path) -> None:
    found, plain = of_csv(tmp_path, text), of_csv(tmp_path, LONG)

    as_set = {
        (str(label), tuple(one[:, 0].tolist()))
        for label, one in zip(
            found.labels, np.split(found.x, np.cumsum(found.lengths)), strict=False
        )
    }
    assert as_set == {("x", (1.0, 2.0)), ("y", (3.0, 4.0))}
    assert plain.lengths.tolist() == found.lengths.tolist()


def test_missing_values_are_nan(tmp_path: Path) -> None:
    text = of_csv(tmp_path, LONG.replace("3", "").replace("4", "NaN").replace(",2,", ",NA,"))
    whole_numbers = of_parquet(tmp_path, long_table(speed=pa.array([1, None, None, None])))
    nothing = of_parquet(tmp_path, long_table(speed=pa.nulls(4)))

    expected = [1, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(text.x[:, 0], expected)
    np.testing.assert_array_equal(whole_numbers.x[:, 0], expected)
    assert np.isnan(nothing.x).all()


def test_several_features_and_labels_groups_and_times(tmp_path: Path) -> None:
    found = of_parquet(
        tmp_path,
        long_table(
            turn=[5, 6, 7, 8],
            user=["u", "u", "v", "v"],
            day=[3, 9, 4, 1],
            grade=[1, 1, 2, 2],
            weight=[0.5, 0.5, 1, 1],
        ),
        Columns(label=("grade", "weight"), features=("turn", "speed"), group="user", time="day"),
    )

    assert found.features == ("turn", "speed")
    assert found.x.tolist() == [[5, 1], [6, 2], [7, 3], [8, 4]]
    assert found.labels.tolist() == [[1, 0.5], [2, 1]]
    assert found.targets == ("grade", "weight")
    assert found.groups is not None
    assert found.groups.tolist() == ["u", "v"]
    assert found.times is not None
    assert found.times.tolist() == [9, 4]


def test_what_orders_sequences_orders_their_steps_where_nothing_else_does(tmp_path: Path) -> None:
    text = "sequence,at,speed,label\nb,7,4,y\na,2,2,x\na,1,1,x\nb,5,3,y\n"

    for columns in (Columns(time="at"), Columns(time="at", step="at")):
        found = of_csv(tmp_path, text, columns)

        assert found.x[:, 0].tolist() == [3, 4, 1, 2]
        assert found.times is not None
        assert (found.times.tolist(), found.step) == ([7, 2], "at")


def test_a_time_that_is_one_for_each_sequence_orders_no_steps(tmp_path: Path) -> None:
    text = "sequence,at,speed,label\nb,7,4,y\na,2,2,x\na,2,1,x\nb,7,3,y\n"

    found = of_csv(tmp_path, text, Columns(time="at"))

    assert found.x[:, 0].tolist() == [4, 3, 2, 1]
    assert found.times is not None
    assert (found.times.tolist(), found.step) == ([7, 2], None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (("1", "02"), ["1", "02"]),
        (("1", "2"), [1, 2]),
        (("1.5", ".5"), [1.5, 0.5]),
        (("TRUE", "false"), ["TRUE", "false"]),
        (("2024-01-01", "2024-01-02"), ["2024-01-01", "2024-01-02"]),
        (("12:00", "13:00"), ["12:00", "13:00"]),
        (("+", "-"), ["+", "-"]),
        (("a", " a "), ["a", "a"]),
    ],
)
def test_labels_are_read_as_they_are_written(
    written: tuple[str, str], read: list[Any], tmp_path: Path
) -> None:
    text = LONG.replace(",x", f",{written[0]}").replace(",y", f",{written[1]}")

    assert of_csv(tmp_path, text).labels.tolist() == read


@pytest.mark.parametrize(
    ("one", "other"),
    [("7", "07"), ("1.10", "1.1"), ("1234567890123456789012", "1234567890123456789013")],
)
def test_sequences_have_the_names_that_are_written(one: str, other: str, tmp_path: Path) -> None:
    text = LONG.replace("a,", f"{one},").replace("b,", f"{other},")
    (tmp_path / "t.csv").write_text(text)

    found = tables.read(tmp_path / "t.csv", Columns(), labelled=False)

    assert found.ids is not None
    assert found.ids.tolist() == [one, other]


def test_a_column_without_labels_is_none_where_nobody_needs_it(tmp_path: Path) -> None:
    text = LONG.replace(",x", ",").replace(",y", ", ")
    (tmp_path / "t.csv").write_text(text)

    assert not tables.read(tmp_path / "t.csv", Columns(), labelled=False).is_labelled
    with pytest.raises(DatasetError, match="row 1, column label: must have a value, but it is"):
        tables.read(tmp_path / "t.csv", Columns())


def test_the_wide_form(tmp_path: Path) -> None:
    made = example()
    csv.write_csv(pa.table(made.wide()), tmp_path / "t.csv")

    found = read(tmp_path / "t.csv", Columns())

    assert found.features == ("speed", "turn")
    assert found.lengths.tolist() == made.lengths
    np.testing.assert_array_equal(found.x, np.concatenate(made.sequences))


def test_a_number_for_each_row_is_no_sequence(tmp_path: Path) -> None:
    wide = {"x_0": [1, 2, 3], "x_1": [4, 5, 6], "label": ["a", "b", "a"]}

    guessed = of_parquet(tmp_path, {"id": [7, 8, 9], **wide})
    named = of_parquet(tmp_path, {"id": [7, 8, 9], **wide}, Columns(sequence="id"))

    assert guessed.x.tolist() == [[1], [4], [2], [5], [3], [6]]
    assert named.x.tolist() == [[1, 4], [2, 5], [3, 6]]


def test_rows_that_are_sequences_are_no_steps_where_one_is_there_twice(tmp_path: Path) -> None:
    wide = {"t0": [1, 2, 3, 1], "t1": [4, 5, 6, 4], "label": ["a", "b", "a", "a"]}
    with pytest.raises(DatasetError, match=r"column id: must say .* 3 of 4 rows have one of their"):
        of_parquet(tmp_path, {"id": [7, 8, 9, 7], **wide})

    known = Columns(label=("label",), features=("t0", "t1"))
    found = read(tmp_path / "t.parquet", known, labelled=False)
    assert found.ids is not None
    assert found.ids.tolist() == [7, 8, 9, 7]
    assert found.lengths.tolist() == [2] * 4


def test_a_row_may_be_larger_than_a_block(tmp_path: Path) -> None:
    count = 12_000
    head = ",".join(f"x{step}" for step in range(count))
    row = ",".join([f"{1 / 3:.250f}"] * count)

    found = of_csv(tmp_path, f"{head},label\n{row},a\n{row},b\n")

    assert found.lengths.tolist() == [count, count]


def test_a_file_that_no_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.sources.room.SHARE", 1e-12)

    with pytest.raises(DatasetError, match=r"^t\.csv: must fit into half of the free memory"):
        of_csv(tmp_path, LONG)
    with pytest.raises(DatasetError, match=r"^t\.parquet: must fit into half of the free memory"):
        of_parquet(tmp_path, long_table())


@pytest.mark.parametrize(
    "times",
    [
        ["10", "9", "11", "2"],
        ["2024-10-01", "2024-09-01 12:00:00", "2024-11-01", "2024-02-01"],
        ["2024-10-01T00:00:00+02:00", "2024-09-01T12:00:00Z", "2024-11-01T00Z", "2024-02-01T00Z"],
    ],
)
def test_text_orders_by_what_it_says(times: list[str], tmp_path: Path) -> None:
    table = {"v0": [1.0, 2, 3, 4], "label": list("abab"), "day": times}
    found = of_parquet(tmp_path, table, Columns(time="day"))
    assert found.times is not None
    assert np.argsort(found.times).tolist() == [3, 1, 0, 2]


def test_text_that_has_no_order_is_named(tmp_path: Path) -> None:
    table = {"v0": [1.0, 2], "label": list("ab"), "day": ["2024-10-01", "1 May"]}
    with pytest.raises(DatasetError, match=r"row 2, column day: must be a number, or a time such"):
        of_parquet(tmp_path, table, Columns(time="day"))
    mixed = table | {"day": ["2024-10-01", "7"]}
    with pytest.raises(DatasetError, match=r"but got 2024-10-01 among others"):
        of_parquet(tmp_path, mixed, Columns(time="day"))


def test_tabs_have_a_suffix_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(LONG.replace(",", "\t"))
    assert read(tmp_path / "t.tsv", Columns()).labels.tolist() == ["x", "y"]
