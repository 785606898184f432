"""What a person's own file holds, before there is a document about it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.common.faults import SpecError, read
from search.document.document import override
from search.document.sections import Data
from trainables.faults import DatasetError
from trainables.labels import MOST_CLASSES, check_classes, is_one_hot, names, numbers
from trainables.metrics import METRICS, Task
from trainables.sequences import Sequences
from trainables.sources import files
from trainables.sources.columns import GROUPS, GUESSES, may_number_rows
from trainables.sources.files import FileOptions

MOST_GUESSED = 50
"""Different whole numbers that are taken for classes where nothing else is said."""

FEW_GUESSED = 20
"""The same, where most sequences have one of their own."""

SHOWN = 4
"""Sequences that are drawn."""

POINTS = 48
"""Values of a drawn sequence."""


@dataclass(frozen=True)
class Picture:
    """A sequence as it is drawn.

    Attributes:
        label: its class or number.
        feature: what is drawn of it.
        values: at most `POINTS` means of its steps, from 0 to 1 in the range of all pictures; None
            where every value of some steps is missing.
    """

    label: str
    feature: str
    values: list[float | None]


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        files: the names of the training part's file, and of the test part's if it is apart.
        read_as: which column is what, in words; empty where there are no columns.
        task: what the labels look like.
        train: sequences of the first file.
        test: of the second; None where it is to be split.
        features: what each step has.
        lengths: least, median and most steps.
        missing: values that are.
        values: in all.
        classes: sequences of each class in the first file; empty where numbers are learned.
        targets: for numbers, least, mean and most of each; empty for classes.
        pictures: some sequences, of different classes where there are any.
    """

    files: tuple[str, ...]
    read_as: str
    task: Task
    train: int
    test: int | None
    features: tuple[str, ...]
    lengths: tuple[int, float, int]
    missing: int
    values: int
    classes: dict[str, int]
    targets: dict[str, tuple[float, float, float]]
    pictures: list[Picture]
    notes: list[str] = field(default_factory=list)
    """What a person should know about them, a sentence each."""

    @property
    def varies(self) -> bool:
        """Whether sequences are of unequal lengths."""
        return self.lengths[0] != self.lengths[2]

    def as_json(self) -> dict[str, Any]:
        """Return it as `init --json` prints it."""
        return asdict(self)


def data_of(path: Path, overrides: Sequence[str]) -> tuple[Data, Task | None]:
    """Return the section `data` of a path with overrides, and the task if one says it.

    Raises:
        SpecError: one is none, or of another section.
    """
    faults = [
        f"--set {one}: must be data.KEY=VALUE or task=TASK, such as data.label=price"
        for one in overrides
        if not one.startswith(("data.", "task="))
    ]
    source = str(path.resolve()) + ("/" if path.is_dir() else "")
    document = override({"data": {"source": source}}, overrides, faults)
    found = read(Data, document["data"], "data", faults)
    task = document.get("task")
    if task is not None and task not in tuple(METRICS):
        faults.append(f"--set task={task}: must be {' or '.join(METRICS)}")
    if found is None or faults:
        raise SpecError(faults)
    return found, task


def survey(path: Path, data: Data, task: Task | None = None) -> Survey:
    """Look at a file or folder.

    Args:
        path: where it is.
        data: what is known about its columns.
        task: what is learned; None for what the labels look like.

    Raises:
        DatasetError: it cannot be read, or not be learned.
    """
    options = FileOptions(
        columns=data.columns,
        test=None if data.test is None else Path(data.test),
        missing="mean",  # so that missing values are counted, and not refused
    )
    train_path, test_path = files.parts(path)
    train, test = files.load(path, options)
    task = task or task_of(train)
    parts = [train] if test is None else [train, test]
    lengths = np.concatenate([part.lengths for part in parts])
    return Survey(
        files=tuple(one.name for one in (train_path, options.test or test_path) if one),
        read_as=train.read_as,
        task=task,
        train=len(train.lengths),
        test=None if test is None else len(test.lengths),
        features=train.features,
        lengths=(int(lengths.min()), float(np.median(lengths)), int(lengths.max())),
        missing=sum(int(np.isnan(part.x).sum()) for part in parts),
        values=sum(part.x.size for part in parts),
        classes=classes(train) if task == "classification" else {},
        targets=targets(train) if task == "regression" else {},
        pictures=pictures(train),
        notes=list(odd(train.cells or train.features)),
    )


def odd(features: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each feature that by its name is no measurement."""
    for name in features:
        word = name.strip().lower()
        if word in (*GROUPS, *GUESSES["sequence"]):
            yield (
                f"{name} is learned from; --set data.group={name} keeps the sequences of one in "
                "the same part instead"
            )
        elif may_number_rows(name):
            yield (
                f"{name} is learned from, though it seems to number the rows; data.features names "
                "what is to be learned from"
            )


def task_of(sequences: Sequences) -> Task:
    """Return what labels look like: numbers with fractions, or many different ones, are learned."""
    labels = sequences.labels
    if labels.ndim > 1:
        return "classification" if is_one_hot(labels) else "regression"
    if labels.dtype.kind not in "uif":
        return "classification"
    different = len(np.unique(labels))
    few = FEW_GUESSED if different > len(labels) // 2 else max(MOST_GUESSED, len(labels) // 10)
    many = different > few
    return "regression" if many or (labels % 1 != 0).any() else "classification"


def classes(sequences: Sequences) -> dict[str, int]:
    """Return how many sequences each class has, the largest first."""
    check_classes(sequences)
    found, counts = np.unique(sequences.labels, return_counts=True)
    if len(found) > MOST_CLASSES:
        raise DatasetError(
            f"the label {sequences.targets[0]}: must have at most {MOST_CLASSES} classes, but "
            f"{len(sequences.labels)} sequences have {len(found)}"
        )
    order = np.argsort(-counts, kind="stable")
    called = names(found)
    return {called[place]: int(counts[place]) for place in order}


def targets(sequences: Sequences) -> dict[str, tuple[float, float, float]]:
    """Return least, mean and most of each target."""
    columns = numbers(sequences).astype(np.float64).T
    return {
        name: (float(column.min()), float(column.mean()), float(column.max()))
        for name, column in zip(sequences.targets, columns, strict=True)
    }


def pictures(sequences: Sequences) -> list[Picture]:
    """Return some sequences of different labels, each by its first feature."""
    column = sequences.x[:, 0].astype(np.float64)
    ends = np.cumsum(sequences.lengths)
    _, firsts = np.unique(sequences.labels, axis=0, return_index=True)
    rows = np.sort(firsts)[:: max(1, len(firsts) // SHOWN)][:SHOWN]
    lines = [means(column[ends[row] - sequences.lengths[row] : ends[row]]) for row in rows]
    known = np.concatenate(lines)
    known = known[~np.isnan(known)]
    low, span = (known.min(), np.ptp(known) or 1.0) if len(known) else (0.0, 1.0)
    return [
        Picture(
            label=", ".join(map(label, sequences.labels[row : row + 1].ravel())),
            feature=sequences.features[0],
            values=[None if np.isnan(v) else float((v - low) / span) for v in line],
        )
        for row, line in zip(rows, lines, strict=True)
    ]


def label(value: Any) -> str:
    """Return a class or a number for people."""
    return f"{value:g}" if isinstance(value, np.floating) else str(value)


def means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a sequence, of a long one means of its pieces; NaN where all of a piece is missing."""
    if len(values) <= POINTS:
        return values
    pieces: Sequence[NDArray[np.float64]] = np.array_split(values, POINTS)
    known = [one[~np.isnan(one)] for one in pieces]
    return np.array([one.mean() if len(one) else np.nan for one in known])
