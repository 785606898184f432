"""The table of a job's trials: sorted, filtered, in parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboards.console.searched import Row
from search.jobs.listing import COUNTED_AS

SHOWN = 50
"""Trials of a part."""

OWN = {"trial": "trial", "state": "state", "value": "best_epoch_value", "trained": "epochs"}
"""Columns that every table has, by the key of a row; the others are parameters, of which none is
called so."""


@dataclass(frozen=True)
class Wanted:
    """Which trials, and how ordered.

    Attributes:
        order: a column, with a dash before it for the largest first; empty for the best first.
        state: of a trial; empty for any.
        cell: likewise.
        text: words that stand in a trial's parameters, such as ``hidden_size=64``.
        first: how many trials are left out before those that are shown.
        hidden: parameters that are not shown.
    """

    order: str = ""
    state: str = ""
    cell: str = ""
    text: str = ""
    first: int = 0
    hidden: frozenset[str] = frozenset()

    def sorting(self, column: str) -> str:
        """Return how a column is ordered, as `aria-sort` says it."""
        directions = {column: "ascending", f"-{column}": "descending"}
        return directions.get(self.order, "none")

    def next(self, column: str) -> str:
        """Return the order that a click on a column asks for."""
        return f"-{column}" if self.order == column else column


def table(rows: Sequence[Row], wanted: Wanted, *, maximize: bool) -> tuple[list[Row], int, Wanted]:
    """Return the part of the trials that is wanted, how many match in all, and what was wanted.

    Where fewer match than are to be left out, the first part is.
    """
    words = wanted.text.lower().split()
    matching = [
        row
        for row in rows
        if wanted.state in {"", COUNTED_AS.get(row["state"], row["state"])}
        and wanted.cell in {"", row["cell"]}
        and all(word in described(row) for word in words)
    ]
    falls = wanted.order.startswith("-") if wanted.order else maximize
    column = wanted.order.removeprefix("-") or "value"
    known = [row for row in matching if at(row, column) is not None]
    # Sorting keeps the order of equals: by number, whichever way.
    known.sort(key=lambda row: comparable(at(row, column)), reverse=falls)
    ordered = known + [row for row in matching if at(row, column) is None]
    if wanted.first >= len(ordered):
        wanted = replace(wanted, first=0)
    return ordered[wanted.first : wanted.first + SHOWN], len(ordered), wanted


def at(row: Row, column: str) -> Any:
    """Return what a trial has in a column; None for nothing."""
    return row[OWN[column]] if column in OWN else row["params"].get(column)


def comparable(value: Any) -> tuple[bool, Any]:
    """Return a value so that numbers and words can be ordered: numbers first."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else str(value)


def described(row: Row) -> str:
    """Return a trial's number and parameters as a text to search in."""
    params = " ".join(f"{key}={value}" for key, value in row["params"].items())
    return f"{row['trial']} {'baseline' if row['baseline'] else ''} {params}".lower()
