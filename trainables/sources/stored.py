"""A table as it lies in a file, whose columns are read when they are wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from trainables.faults import DatasetError

Names = Callable[[Sequence[str]], dict[str, bool]]
"""Tells which columns hold names, and of each whether it may be a number with fractions."""


@dataclass(frozen=True)
class Stored:
    """A table in a file that is open.

    Attributes:
        path: the file.
        names: of the columns, each there once.
        rows: how many.
        read: returns some columns by their names.
    """

    path: Path
    names: tuple[str, ...]
    rows: int
    read: Callable[[Sequence[str]], pa.Table]


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse columns without a name, with one that no line holds, or with the same one."""
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise DatasetError(f"{path.name}, column {number}: must have a name, but has none")
        if not name.isprintable():
            raise DatasetError(
                f"{path.name}, column {number}: must have a printable name, but is called {name!r}"
            )
        if name in seen:
            raise DatasetError(
                f"{path.name}, column {number}: must have a name of its own, but is called {name} "
                "as another"
            )
        seen.add(name)
