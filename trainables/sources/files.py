"""People's own files: which a path means, and how each is read."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from trainables.faults import DatasetError, brief
from trainables.metrics import Task
from trainables.sequences import Sequences
from trainables.sources import SUFFIXES, Missing
from trainables.sources.columns import Columns

TABLES = (".csv", ".tsv", ".parquet")

PART = re.compile(r"(?P<name>.*?)[_.-]?(?P<part>train|test)", re.IGNORECASE)
"""The stem of a file that is one of two parts."""


@dataclass(frozen=True)
class FileOptions:
    """What a document says about its own file.

    Attributes:
        task: what is learned of its labels.
        columns: which column of a table is what.
        test: a file with the test part; None where the source has one, or is split.
        test_share: share that becomes the test part, where it is split.
        missing: how missing values are filled.
        mask: whether the network sees where they were.
    """

    task: Task = "classification"
    columns: Columns = field(default_factory=Columns)
    test: Path | None = None
    test_share: float = 0.2
    missing: Missing = "refuse"
    mask: bool = False


def load(path: Path, options: FileOptions) -> tuple[Sequences, Sequences | None]:
    """Return the sequences of a file or folder, and those of the test part if they are apart.

    Raises:
        DatasetError: they cannot be read, do not fit each other, or lack values.
    """
    train_path, test_path = parts(path)
    test_path = options.test or test_path
    train = complete(train_path, options, learned=True)
    if test_path is None:
        return train, None
    check_test(test_path)
    test = in_order_of(train, tested(test_path, train, options))
    if test.cells and train.cells and test.cells != train.cells:
        raise DatasetError(
            f"{test_path.name}: must have the steps of {train_path.name}, {brief(train.cells)}, "
            f"but has {brief(test.cells)}"
        )
    if options.task == "regression" and test.targets != train.targets:
        raise DatasetError(
            f"{test_path.name}: must have the targets of {train_path.name}, "
            f"{brief(train.targets)}, but has {brief(test.targets)}"
        )
    if test.features != train.features:
        raise DatasetError(
            f"{test_path.name}: must have the features of {train_path.name}, "
            f"{brief(train.features)}, but has {brief(test.features)}"
        )
    return train, test


def tested(path: Path, train: Sequences, options: FileOptions) -> Sequences:
    """Return the test part, read as the training part was; else for itself, to say what differs."""
    with suppress(DatasetError):
        known = replace(options, columns=columns_of(train, options.columns))
        return complete(path, known, learned=False)
    return complete(path, options, learned=False)


def columns_of(train: Sequences, said: Columns) -> Columns:
    """Return which column of such a table is what; nothing where it is from no table."""
    if not train.read_as:
        return Columns()
    return replace(
        said,
        label=train.targets,
        sequence=train.sequence,
        step=train.step,
        features=train.cells or train.features,
    )


def in_order_of(train: Sequences, test: Sequences) -> Sequences:
    """Return a test part with the training part's order of features, where they are the same."""
    if train.features == test.features or sorted(train.features) != sorted(test.features):
        return test
    places = [test.features.index(name) for name in train.features]
    same = sorted(train.cells) == sorted(test.cells)
    cells = train.cells if same else test.cells
    return replace(test, x=test.x[:, places], features=train.features, cells=cells)


def check_test(path: Path) -> None:
    """Make sure that a test part is there.

    Raises:
        DatasetError: it is not.
    """
    if not path.is_file():
        raise DatasetError(f"data.test: must be a file, but there is no file {path}")


def complete(path: Path, options: FileOptions, *, learned: bool) -> Sequences:
    """Return the sequences of a file; refuse missing values unless they are to be filled.

    Args:
        path: the file.
        options: how it is read.
        learned: whether it is learned from, rather than only looked at.
    """
    found = read(path, options.columns)
    if learned and found.coarse is not None:
        raise DatasetError(found.coarse)
    lacking = np.isnan(found.x) if options.missing == "refuse" else np.zeros(0, bool)
    if lacking.any():
        place = found.place(*map(int, np.unravel_index(lacking.argmax(), lacking.shape)))
        raise DatasetError(
            f"{path.name}, {place}: must have a value, and {lacking.sum()} of {lacking.size} are "
            "missing; data.missing fills them: zero, mean or forward"
        )
    return found


def parts(path: Path) -> tuple[Path, Path | None]:
    """Return the file with the training part, and the one with the test part, if it is apart.

    Args:
        path: a file, which is split; or a folder that holds one, or two such as ``train.csv`` and
            ``test.csv``, or ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``.

    Raises:
        DatasetError: it is not there, or the folder holds something else.
    """
    if path.is_dir():
        return inside(path)
    if not path.exists():
        raise DatasetError(f"data.source: must be a file or folder, but there is no {path}")
    if not path.is_file():
        raise DatasetError(f"data.source: must be a file or folder, but {path} is neither")
    return path, None


def inside(folder: Path) -> tuple[Path, Path | None]:
    """Return the files of a folder: one, or one for each part."""
    found = sorted(one for one in folder.iterdir() if one.suffix in SUFFIXES and one.is_file())
    if len(found) == 1:
        return found[0], None
    named = {one: PART.fullmatch(one.stem) for one in found}
    roles = {match["part"].lower(): one for one, match in named.items() if match is not None}
    names = {match["name"] for match in named.values() if match is not None}
    if len(found) == 2 and len(roles) == 2 and len(names) == 1:
        return roles["train"], roles["test"]
    has = ", ".join(one.name for one in found[:8]) or "none"
    raise DatasetError(
        f"data.source: the folder {folder} must hold one file ending in {', '.join(SUFFIXES)}, or "
        f"two of one name such as NAME_TRAIN.ts and NAME_TEST.ts; it has {has}"
    )


def read(path: Path, columns: Columns, *, labelled: bool = True) -> Sequences:
    """Return the sequences of a file.

    Args:
        path: its suffix says how it is read.
        columns: which column is what, for a table.
        labelled: whether there must be labels; ``.ts`` always has some.

    Raises:
        DatasetError: it cannot be read; names the place.
    """
    if path.suffix not in SUFFIXES:
        raise DatasetError(f"{path.name}: must end in {', '.join(SUFFIXES)}")
    try:
        if not path.stat().st_size:
            raise DatasetError(f"{path.name}: must hold sequences, but is empty")
        return reader(path, columns, labelled=labelled)(path)
    except OSError as error:
        raise DatasetError(f"{path.name}: must be readable, but {error.strerror}") from None


def reader(path: Path, columns: Columns, *, labelled: bool) -> Callable[[Path], Sequences]:
    """Return what reads files of a suffix; each takes long to import."""
    if path.suffix in TABLES:
        from trainables.sources import tables

        return lambda one: tables.read(one, columns, labelled=labelled)
    named = columns.named()
    if named:
        raise DatasetError(
            f"data.{next(iter(named))}: names a column, which only {', '.join(TABLES)} have, "
            f"but {path.name} has not"
        )
    if path.suffix == ".npz":
        from trainables.sources import npz

        return lambda one: npz.read(one, labelled=labelled)
    from trainables.sources import archive

    return archive.read
