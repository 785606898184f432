"""Sequences from numpy's arrays in a file."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from trainables.faults import DatasetError, brief
from trainables.sequences import Sequences, coarse_column, unlabelled
from trainables.sources.room import check_room

SHAPES = "[sequences, steps, features], or [all steps, features] with lengths"

KNOWN = ("x", "y", "lengths", "group", "time")
"""Arrays that are read."""


def read(path: Path, *, labelled: bool = True) -> Sequences:
    """Return the sequences of a ``.npz`` file.

    It holds ``x``, in one of two shapes, and ``y``, [sequences] or [sequences, targets]; with them
    ``lengths``, ``group`` and ``time``, [sequences] each. Objects are never unpickled.

    Args:
        path: the file.
        labelled: whether there must be a ``y``.

    Raises:
        DatasetError: it does not; names the array, and the place of a value.
    """
    arrays = load(path, ("x", "y") if labelled else ("x",))
    x, lengths, coarse = values(path, arrays)
    if "group" in arrays and "time" in arrays:
        raise DatasetError(f"{path.name}: must hold group or time, by which is split, but has both")
    count = len(lengths)
    labels = labels_of(path, arrays["y"], count) if "y" in arrays else unlabelled(count)
    return Sequences(
        x=x,
        lengths=lengths,
        labels=labels,
        features=tuple(f"{number}" for number in range(x.shape[1])),
        targets=tuple(f"y{n}" for n in range(labels.shape[1])) if labels.ndim > 1 else ("y",),
        groups=beside(path, arrays, "group", count),
        times=beside(path, arrays, "time", count),
        coarse=coarse,
    )


def load(path: Path, needed: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that we know."""
    try:
        with zipfile.ZipFile(path) as packed:
            check_room(path, sum(item.file_size for item in packed.infolist()))
        opened = np.load(path, allow_pickle=False)
    except DatasetError:
        raise
    except Exception as error:  # zipfile has errors of its own, and some of struct's
        raise DatasetError(f"{path.name}: must be a file of numpy.savez, but {error}") from None
    if not isinstance(opened, NpzFile):  # a package may have an array before it
        raise DatasetError(f"{path.name}: must be a file of numpy.savez, but is one of numpy.save")
    with opened:
        for name in needed:
            if name not in opened.files:
                has = brief(opened.files) or "none"
                raise DatasetError(f"{path.name}: must hold an array {name}, but has {has}")
        return {name: array(path, opened, name) for name in KNOWN if name in opened.files}


def array(path: Path, opened: Any, name: str) -> NDArray[Any]:
    """Return one array of an open file."""
    try:
        found = opened[name]
    except Exception as error:  # zlib and numpy's header parser have errors of their own
        if "allow_pickle" in str(error):
            raise DatasetError(
                f"{path.name}, {name}: must hold numbers or text, but holds Python objects, which "
                "are never unpickled"
            ) from None
        raise DatasetError(f"{path.name}, {name}: must be a whole array, but {error}") from None
    if not isinstance(found, np.ndarray):
        raise DatasetError(f"{path.name}, {name}: must be an array, but is something else")
    if found.dtype.kind == "U":
        try:
            np.strings.encode(found, "utf-8")
        except (ValueError, SystemError):  # half a pair of places, or no place at all
            raise DatasetError(
                f"{path.name}, {name}: must be text, but holds what is no character"
            ) from None
    return found


def values(
    path: Path, arrays: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[np.int64], str | None]:
    """Return all steps [all steps, features], the lengths of the sequences, and what is coarse."""
    x = arrays["x"]
    if x.dtype.kind not in "uifb":
        raise DatasetError(f"{path.name}, x: must hold numbers, but holds {x.dtype}")
    if "lengths" in arrays:
        if x.ndim != 2:
            raise DatasetError(f"{path.name}, x: must be {SHAPES}, but is {list(x.shape)}")
        lengths = lengths_of(path, arrays["lengths"], len(x))
    else:
        if x.ndim != 3:
            raise DatasetError(f"{path.name}, x: must be {SHAPES}, but is {list(x.shape)}")
        lengths = np.full(len(x), x.shape[1], np.int64)
    if not x.size or not len(lengths):
        raise DatasetError(
            f"{path.name}, x: must have sequences, steps and features, but is {list(x.shape)}"
        )
    flat = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    if flat.dtype == np.uint8:
        return flat, lengths, None
    with np.errstate(over="ignore"):
        numbers = flat.astype(np.float32, copy=False)
    if np.isinf(numbers).any():
        step, feature = map(int, np.argwhere(np.isinf(numbers))[0])
        place = Sequences(numbers, lengths, lengths, tuple(map(str, range(x.shape[-1])))).place(
            step, feature
        )
        got = flat[step, feature]
        raise DatasetError(
            f"{path.name}, x, {place}: must be finite and at most 3.4e38 in size, but got {got:g}"
        )
    longer = flat.dtype != np.float32 and flat.itemsize >= numbers.itemsize
    return numbers, lengths, coarse_column(f"{path.name}, x", flat) if longer else None


def lengths_of(path: Path, lengths: NDArray[Any], steps: int) -> NDArray[np.int64]:
    """Return the lengths of the sequences, which are positive and add up to all steps."""
    where = f"{path.name}, lengths"
    if lengths.ndim != 1 or lengths.dtype.kind not in "ui":
        raise DatasetError(
            f"{where}: must be [sequences] whole numbers, but is {list(lengths.shape)} "
            f"{lengths.dtype}"
        )
    if len(lengths) and lengths.min() < 1:
        at = int(np.argmax(lengths < 1))
        raise DatasetError(f"{where}, sequence {at + 1}: must be at least 1, but got {lengths[at]}")
    total = sum(map(int, lengths))
    if total != steps:
        raise DatasetError(f"{where}: must add up to the {steps} steps of x, but make {total}")
    return lengths.astype(np.int64)


def labels_of(path: Path, y: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the labels: one for each sequence, or several numbers."""
    where = f"{path.name}, y"
    if y.dtype.kind not in "uifbU":
        raise DatasetError(f"{where}: must hold text or numbers, but holds {y.dtype}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or len(y) != count or not y.size:
        raise DatasetError(
            f"{where}: must have a label for each of the {count} sequences, but is {list(y.shape)}"
        )
    check_finite(where, y)
    if y.dtype.kind == "U":
        y = np.strings.strip(y)
        if not y.all():
            at = int(np.argmin(y.astype(bool).reshape(len(y), -1).all(1)))
            raise DatasetError(f"{where}, sequence {at + 1}: must have a label, but it is empty")
    return y.astype(np.float64) if y.ndim == 2 else y


def beside(
    path: Path, arrays: dict[str, NDArray[Any]], name: str, count: int
) -> NDArray[Any] | None:
    """Return an array that has a value for each sequence; None where there is none."""
    if name not in arrays:
        return None
    found = arrays[name]
    if found.ndim != 1 or len(found) != count or found.dtype.kind not in "uifbUM":
        raise DatasetError(
            f"{path.name}, {name}: must have a value for each of the {count} sequences, but is "
            f"{list(found.shape)} {found.dtype}"
        )
    if name == "time" and found.dtype.kind == "U":  # whose order would be that of its letters
        raise DatasetError(
            f"{path.name}, time: must be numbers or datetime64, but is text; "
            "numpy.array(time, 'datetime64') reads times such as 2024-03-01T09:30"
        )
    check_finite(f"{path.name}, {name}", found)
    return found


def check_finite(where: str, found: NDArray[Any]) -> None:
    """Refuse what is missing or infinite among labels, groups and times."""
    endless = ~np.isfinite(found) if found.dtype.kind in "fM" else np.zeros(0, bool)
    if endless.any():
        at = tuple(map(int, np.argwhere(endless)[0]))
        raise DatasetError(f"{where}, sequence {at[0] + 1}: must be finite, but got {found[at]}")
