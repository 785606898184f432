"""What the pictures share: Plotly's JSON, small enough to be sent while a search runs.

Optuna draws the same questions (`optuna.visualization`) with a trace a trial; here trials of one
kind share a trace, so that a thousand of them move as one. Colours are names of the page's style.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dashboards.console.searched import Row, Searched
from search.common.labels import format_value

Figure = dict[str, Any]

MOST = 160
"""Curves and lines that are drawn: the best, and of the others every so many."""

MOST_POINTS = 300
"""Trials that are drawn as points or bars."""

CELLS = ("lstm", "gru")

SYMBOLS = {"lstm": "circle", "gru": "square"}

ACCENT = "var(--accent)"


def color(cell: str) -> str:
    """Return a cell's colour."""
    return f"var(--{cell})"


def figure(
    data: Sequence[Mapping[str, Any]], across: str, up: str, summary: str, **layout: Any
) -> Figure:
    """Return a picture with titles of its axes, and what it shows in a sentence."""
    axes = {"xaxis": {"title": {"text": across}}, "yaxis": {"title": {"text": up}}}
    for name, more in layout.items():
        axes[name] = {**axes.get(name, {}), **more} if isinstance(more, dict) else more
    return {"data": data, "layout": axes, "summary": summary}


def nothing(why: str) -> Figure:
    """Return what is said where there is nothing to draw."""
    return {"data": [], "layout": {}, "summary": "", "empty": why}


def count_of(shown: int, number: int) -> str:
    """Return how many there are, and how many of them are shown where that is not all."""
    return str(number) if shown >= number else f"{shown} of {number}"


def some(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """Return the best half of what may be drawn, and of the rest every so many."""
    if len(rows) <= most:
        return list(rows)
    best, rest = rows[: most // 2], rows[most // 2 :]
    return [*best, *rest[:: math.ceil(len(rest) / (most - len(best)))]]


def name_of(row: Row) -> str:
    """Return a trial's name."""
    return f"trial {row['trial']}{' (baseline)' if row['baseline'] else ''}"


def told(row: Row, metric: str) -> str:
    """Return what the pointer tells of a trial."""
    params = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row["params"].items()
    )
    return (
        f"{name_of(row)}, {row['state']}<br>{metric} "
        f"{format_value(row['best_epoch_value'])}<br>{params}"
    )


def by_cell(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Return trials of each cell that has any."""
    rows = list(rows)
    groups = [(cell, [row for row in rows if row["cell"] == cell]) for cell in CELLS]
    return [(cell, ones) for cell, ones in groups if ones]


def points(found: Searched, rows: Sequence[Row], cell: str, x: Sequence[Any]) -> dict[str, Any]:
    """Return trials of a cell as points at their values."""
    return {
        "type": "scatter", "mode": "markers", "name": cell.upper(), "x": list(x),
        "y": [row["best_epoch_value"] for row in rows],
        "text": [told(row, found.metric) for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": color(cell), "symbol": SYMBOLS[cell], "size": 8, "opacity": 0.75},
    }  # fmt: skip


def middle(values: Sequence[float], maximize: bool) -> list[float] | None:  # noqa: FBT001
    """Return the range of an axis which the worst tenth of the values does not squeeze."""
    if len(values) < 20:
        return None
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if maximize:
        low = ordered[len(ordered) // 10]
    else:
        high = ordered[-len(ordered) // 10]
    room = 0.06 * ((high - low) or 1.0)
    return [low - room, high + room]


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the parameters in which trials differ, the cell first."""
    names = list(dict.fromkeys(name for row in rows for name in row["params"]))
    several = [name for name in names if len({str(row["params"].get(name)) for row in rows}) > 1]
    return sorted(several, key=lambda name: name != "cell")


def is_log(values: Sequence[Any]) -> bool:
    """Whether numbers are read more easily by their orders of magnitude."""
    return all(isinstance(v, float) and v > 0 for v in values) and max(values) / min(values) > 8
