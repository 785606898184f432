"""The table of a job's trials: sorted, filtered, in parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dashboards.console.searched import Row

SHOWN = 50
"""Trials of a part."""


@dataclass(frozen=True)
class Wanted:
    """Which trials, and how ordered."""

    order: str = "best"
    state: str = ""
    cell: str = ""
    text: str = ""
    """Words that stand in a trial's parameters, such as ``hidden_size=64``."""
    first: int = 0


ORDERS: Mapping[str, Callable[[Row], Any]] = MappingProxyType(
    {
        "best": lambda _: 0,
        "newest": lambda row: -row["trial"],
        "oldest": lambda row: row["trial"],
        "epochs": lambda row: -row["epochs"],
        "state": lambda row: row["state"],
    }
)


def table(rows: Sequence[Row], wanted: Wanted, *, maximize: bool) -> tuple[list[Row], int]:
    """Return the part of the trials that is wanted, and how many there are in all."""
    sign = -1 if maximize else 1

    def rank(row: Row) -> tuple[Any, ...]:
        value = row["best_epoch_value"]
        order = ORDERS.get(wanted.order, ORDERS["best"])(row)
        return order, value is None, 0.0 if value is None else sign * value, row["trial"]

    words = wanted.text.lower().split()
    matching = [
        row
        for row in rows
        if wanted.state in {"", row["state"]}
        and wanted.cell in {"", row["cell"]}
        and all(word in described(row) for word in words)
    ]
    matching.sort(key=rank)
    return matching[wanted.first : wanted.first + SHOWN], len(matching)


def described(row: Row) -> str:
    """Return a trial's number and parameters as a text to search in."""
    params = " ".join(f"{key}={value}" for key, value in row["params"].items())
    return f"{row['trial']} {'baseline' if row['baseline'] else ''} {params}".lower()
