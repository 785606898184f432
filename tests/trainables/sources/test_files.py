"""Which files make a dataset: one or two parts, whatever their format, and what is refused."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.sources.written import (
    ANY_LENGTH,
    ONE_LENGTH,
    Example,
    cube_npz,
    dataset,
    example,
    long_csv,
    long_parquet,
    wide_csv,
)
from trainables.faults import DatasetError
from trainables.sources.columns import Columns
from trainables.sources.files import FileOptions, load, read


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.CSV", "t.CSV: must end in .npz, .csv, .tsv, .parquet, .ts"),
        ("t.xlsx", "t.xlsx: must end in .npz, .csv, .tsv, .parquet, .ts"),
        ("t", "t: must end in .npz, .csv, .tsv, .parquet, .ts"),
    ],
)
def test_a_file_of_another_kind(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        load(tmp_path / name, FileOptions())


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_an_empty_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()

    with pytest.raises(DatasetError, match=f"^{name}: must hold sequences, but is empty$"):
        load(tmp_path / name, FileOptions())


def test_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")

    with pytest.raises(DatasetError, match=r"file or folder, but .*pipe\.csv is neither$"):
        load(tmp_path / "pipe.csv", FileOptions())
    for name in ("link.csv", "none.csv"):
        with pytest.raises(DatasetError, match=rf"file or folder, but there is no .*{name}$"):
            load(tmp_path / name, FileOptions())


@pytest.mark.parametrize(
    ("names", "has"),
    [
        ((), "none"),
        (("notes.txt", "data.json"), "none"),
        (("a.csv", "b.csv"), "a.csv, b.csv"),
        (("train.csv", "test.csv", "more.csv"), "more.csv, test.csv, train.csv"),
        (("a_train.csv", "b_test.csv"), "a_train.csv, b_test.csv"),
        (("a_train.csv", "a_TRAIN.ts"), "a_TRAIN.ts, a_train.csv"),
    ],
)
def test_a_folder_without_a_file_or_with_too_many(
    names: tuple[str, ...], has: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(DatasetError, match=rf"must hold one file .*; it has {re.escape(has)}$"):
        load(tmp_path, FileOptions())


@pytest.mark.parametrize(
    "names", [("train.csv", "test.csv"), ("walks_TRAIN.csv", "walks_TEST.csv")]
)
def test_a_folder_with_both_parts(names: tuple[str, str], tmp_path: Path) -> None:
    wide_csv(tmp_path / names[0], example(30))
    wide_csv(tmp_path / names[1], example(10, seed=1))
    (tmp_path / "README.md").touch()

    data = dataset(tmp_path)

    assert [len(part) for part in (data.train, data.validation, data.test)] == [24, 6, 10]


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    wide_csv(tmp_path / "walks.csv", example())

    assert dataset(tmp_path).fingerprint == dataset(tmp_path / "walks.csv").fingerprint


def test_a_test_part_of_another_format(tmp_path: Path) -> None:
    long_parquet(tmp_path / "a.parquet", example(30))
    wide_csv(tmp_path / "b.csv", example(10, seed=1))

    data = dataset(tmp_path / "a.parquet", FileOptions(test=tmp_path / "b.csv"))

    assert len(data.test) == 10


def test_a_test_part_with_other_features(tmp_path: Path) -> None:
    made = example(10)
    long_csv(tmp_path / "a.csv", made)
    long_csv(tmp_path / "b.csv", Example(made.sequences, made.labels, ("speed", "height")))

    with pytest.raises(
        DatasetError,
        match=r"^b\.csv: must have the features of a\.csv, speed, turn, but has speed, height$",
    ):
        dataset(tmp_path / "a.csv", FileOptions(test=tmp_path / "b.csv"))


@pytest.mark.parametrize("name", ["flat.npz", "archive.ts"])
def test_columns_are_named_for_tables_alone(name: str, tmp_path: Path) -> None:
    ANY_LENGTH[name](tmp_path / name, example(10))

    with pytest.raises(
        DatasetError,
        match=r"^data\.sequence: names a column, which only \.csv, \.tsv, \.parquet have",
    ):
        read(tmp_path / name, Columns(sequence="id"))


def test_a_test_part_that_is_not_there_is_named_as_such(tmp_path: Path) -> None:
    long_csv(tmp_path / "a.csv", example())

    with pytest.raises(
        DatasetError, match=r"^data\.test: must be a file, but there is no file .*b\.csv"
    ):
        load(tmp_path / "a.csv", FileOptions(test=tmp_path / "b.csv"))


def test_a_test_part_with_its_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("sequence,a,b,label\n1,1,2,x\n1,3,4,x\n2,1,2,y\n")
    (tmp_path / "test.csv").write_text("sequence,b,a,label\n1,2,1,x\n1,4,3,x\n2,2,1,y\n")

    train, test = load(tmp_path, FileOptions())

    assert test is not None
    assert test.features == train.features
    np.testing.assert_array_equal(test.x, train.x)


def test_a_test_part_is_read_as_the_training_part_was(tmp_path: Path) -> None:
    """By itself `no` would number its rows."""
    (tmp_path / "train.csv").write_text("sequence,no,a,label\n1,1,2,x\n1,1,4,x\n2,1,2,y\n")
    (tmp_path / "test.csv").write_text("sequence,no,a,label\n1,1,2,x\n1,2,4,x\n2,3,2,y\n")

    train, test = load(tmp_path, FileOptions())

    assert test is not None
    assert test.features == train.features == ("no", "a")


def test_a_wide_test_part_with_its_features_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a_0,a_1,b_0,b_1,label\n1,2,3,4,x\n5,6,7,8,y\n")
    (tmp_path / "test.csv").write_text("b_0,b_1,a_0,a_1,label\n3,4,1,2,x\n7,8,5,6,y\n")

    train, test = load(tmp_path, FileOptions())

    assert test is not None
    assert (test.features, test.cells) == (train.features, train.cells)
    np.testing.assert_array_equal(test.x, train.x)


def test_how_a_table_was_read_is_kept_for_new_ones(tmp_path: Path) -> None:
    long_csv(tmp_path / "t.csv", example())

    assert dataset(tmp_path / "t.csv").columns == Columns(
        label=("label",), sequence="sequence", step="step", features=("speed", "turn")
    )


def test_numbers_that_may_be_no_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).normal(size=(40, 3, 1)), y=range(40))

    with pytest.raises(DatasetError, match=r"; `task: regression` takes the labels for numbers$"):
        dataset(tmp_path / "t.npz")


def test_a_target_that_never_changes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 1))
    np.savez(tmp_path / "t.npz", x=x, y=np.stack([x[:, 0, 0], np.ones(40)], 1))

    with pytest.raises(DatasetError, match=r"^label y1: must differ, but is 1 in all training seq"):
        dataset(tmp_path / "t.npz", FileOptions(task="regression"))


@pytest.mark.parametrize("name", ["flat.npz", "long.csv", "long.parquet", "archive.ts"])
def test_values_that_32_bits_do_not_tell_apart(name: str, tmp_path: Path) -> None:
    made = example(10)
    seconds = [1.7e9 + np.arange(one.size).reshape(one.shape) for one in made.sequences]
    ONE_LENGTH[name](tmp_path / name, Example(seconds, made.labels))

    with pytest.raises(DatasetError, match=r"must vary by more than numbers of 32 bits tell apart"):
        load(tmp_path / name, FileOptions())


@pytest.mark.parametrize("name", ["flat.npz", "long.csv", "archive.ts"])
def test_what_is_only_looked_at_may_vary_less(name: str, tmp_path: Path) -> None:
    """As a short walk does, seen by a model that knows the whole town."""
    for part, many in (("train", 1e6), ("test", 1e-7)):
        made = example(10)
        places = [50.0 + many * np.arange(one.size).reshape(one.shape) for one in made.sequences]
        ONE_LENGTH[name](tmp_path / f"{part}{Path(name).suffix}", Example(places, made.labels))

    train, test = load(tmp_path, FileOptions())

    assert train.coarse is None
    assert test is not None
    assert test.coarse is not None


def test_targets_that_32_bits_do_not_tell_apart(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 1))
    np.savez(tmp_path / "t.npz", x=x, y=1_700_000_000.0 + np.arange(40))

    with pytest.raises(DatasetError, match=r"^label y: must vary by more than numbers of 32 bits"):
        dataset(tmp_path / "t.npz", FileOptions(task="regression"))


def with_gaps(made: Example) -> Example:
    made.sequences[2][1, 1] = made.sequences[4][0, 0] = made.sequences[4][0, 1] = np.nan
    return made


@pytest.mark.parametrize("name", ONE_LENGTH)
def test_missing_values_are_refused_unless_they_are_filled(name: str, tmp_path: Path) -> None:
    ONE_LENGTH[name](tmp_path / name, with_gaps(example(10)))
    feature = "1" if name.endswith(("npz", "ts")) else "turn"

    with pytest.raises(
        DatasetError,
        match=f"^{name}, sequence 3, step 2, feature {feature}: must have a value, and 3 of "
        "120 are missing; data.missing fills them: zero, mean or forward$",
    ):
        load(tmp_path / name, FileOptions())
    found, _ = load(tmp_path / name, FileOptions(missing="zero"))
    assert np.isnan(found.x).sum() == 3


@pytest.mark.parametrize("varies", [False, True])
def test_the_same_content_has_one_fingerprint(varies: bool, tmp_path: Path) -> None:
    writers = ANY_LENGTH if varies else ONE_LENGTH
    made = with_gaps(example(varies=varies))
    prints = set()
    for name, write in writers.items():
        write(tmp_path / name, made)
        data = dataset(tmp_path / name, FileOptions(missing="mean"))
        prints.add(data.fingerprint)
        assert data.classes == ("run", "walk")
        assert data.shape.varies == varies
        assert not data.notes

    assert len(prints) == 1


@pytest.mark.parametrize("name", ONE_LENGTH)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 10, "label .*: must have at least two classes, but has a alone"),
        (["a"] * 9 + ["b"], "test=0.2 of 10 sequences must be split, and the smallest class has 1"),
        (range(10), "each of the 10 classes needs a sequence in the test part"),
        ([7], "label .*: must have at least two classes, but has 7 alone"),
    ],
)
def test_too_few_of_a_class(name: str, labels: list[str], message: str, tmp_path: Path) -> None:
    made = example(len(labels))
    ONE_LENGTH[name](tmp_path / name, Example(made.sequences, list(labels)))

    with pytest.raises(DatasetError, match=message):
        dataset(tmp_path / name)


def test_ten_thousand_classes(tmp_path: Path) -> None:
    cube_npz(
        tmp_path / "t.npz", Example([np.zeros((1, 1), np.float32)] * 20_000, [*range(10_000)] * 2)
    )

    with pytest.raises(
        DatasetError,
        match=r"^label y: must have at most 1000 classes, but 20000 sequences have 10000$",
    ):
        dataset(tmp_path / "t.npz")
