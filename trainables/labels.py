"""The labels of sequences, as classes or as numbers; light to import."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.faults import CONTROL, DatasetError, brief, is_number
from trainables.sequences import Sequences

MOST_CLASSES = 1000
"""More than any known data set of sequences has; so many labels are numbers, or names."""


MISSING = ("nan", "na", "n/a", "#n/a", "<na>", "null")
"""What a missing label is called by programs that write tables."""


def classes_of(train: Sequences, test: Sequences | None) -> tuple[str, ...]:
    """Return the names of the classes in order, numbers by their size.

    Raises:
        DatasetError: labels are no classes, there is one class only, or there are too many.
    """
    parts = [train] if test is None else [train, test]
    for one in parts:
        check_classes(one)
    known, *others = (set(names(one.labels)) for one in parts)
    odd = next((name for name in known.union(*others) if CONTROL.search(name)), None)
    if odd is not None:
        raise DatasetError(f"label {train.targets[0]}: must be text for people, but got {odd!r}")
    unseen = set().union(*others) - known
    if unseen:
        raise DatasetError(
            f"label {train.targets[0]}: must be a class of the training part, but the test part "
            f"has {brief(in_order(unseen))}"
        )
    if len(known) < 2:
        raise DatasetError(
            f"label {train.targets[0]}: must have at least two classes, but has {brief(known)} "
            "alone"
        )
    if len(known) > MOST_CLASSES:
        raise DatasetError(
            f"label {train.targets[0]}: must have at most {MOST_CLASSES} classes, but "
            f"{len(train.labels)} sequences have {len(known)}"
        )
    return tuple(in_order(known))


def check_classes(sequences: Sequences) -> None:
    """Refuse labels that are no classes, one for each sequence.

    Raises:
        DatasetError: names the sequence.
    """
    labels, name = sequences.labels, sequences.targets[0]
    if is_one_hot(labels):
        raise DatasetError(
            f"label {brief(sequences.targets)}: must be one value a sequence, but is a column for "
            "each class; y.argmax(axis=1) makes numbers of classes of it"
        )
    if labels.ndim > 1:
        raise DatasetError(f"data.label: must be one column, but got {brief(sequences.targets)}")
    if labels.dtype.kind == "f" and (labels % 1 != 0).any():
        at = int(np.argmax(labels % 1 != 0))
        raise DatasetError(
            f"label {name}, sequence {at + 1}: must be a class, a text or a whole number, but got "
            f"{labels[at]:g}"
        )
    if labels.dtype.kind == "U":
        lacking = np.isin(np.strings.lower(labels), MISSING)
        if lacking.any():
            at = int(lacking.argmax())
            raise DatasetError(
                f"label {name}, sequence {at + 1}: must be a class, but {str(labels[at])!r} says "
                "that it is missing; leave the sequence out, or call the class otherwise"
            )


def is_one_hot(labels: NDArray[Any]) -> bool:
    """Whether labels [sequences, columns] are classes, a column each of which one is 1."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def encode(labels: NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the place of each label in the classes."""
    found, places = np.unique(labels, return_inverse=True)
    order = {name: place for place, name in enumerate(classes)}
    return np.array([order[name] for name in map(name_of, found)], np.int64)[places]


def numbers(sequences: Sequences) -> NDArray[np.float32]:
    """Return the labels as numbers [sequences, targets].

    Raises:
        DatasetError: one is no number, or too large for one of 32 bits.
    """
    labels = sequences.labels.reshape(len(sequences.labels), -1)
    try:
        with np.errstate(over="ignore"):
            found = labels.astype(np.float64).astype(np.float32)
    except ValueError:
        at = next(row for row, value in enumerate(labels[:, 0]) if not is_number(str(value)))
        raise DatasetError(
            f"the label {sequences.targets[0]} must be a number, but is {labels[at, 0]!s} for "
            f"sequence {at + 1}"
        ) from None
    if not np.isfinite(found).all():
        at, place = map(int, np.argwhere(~np.isfinite(found))[0])
        raise DatasetError(
            f"the label {sequences.targets[place]} must be finite and at most 3.4e38 in size, but "
            f"is {labels[at, place]} for sequence {at + 1}"
        )
    return found


def names(labels: NDArray[Any]) -> list[str]:
    """Return the names of the classes that labels stand for."""
    return list(map(name_of, np.unique(labels)))


def name_of(value: Any) -> str:
    """Return the name of a class; whole numbers have no dot."""
    return str(int(value)) if isinstance(value, np.floating) else str(value)


def in_order(found: Iterable[str]) -> list[str]:
    """Return names in order: by size if all are whole numbers, else by letters."""
    # Of names for the same number, such as 1 and 01, the order has to be the same every time.
    by_letters = sorted(found)
    return sorted(by_letters, key=int) if all(map(is_whole, by_letters)) else by_letters


def is_whole(name: str) -> bool:
    """Whether a name is that of a whole number as `int` writes it."""
    digits = name.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 100
