"""Configurations as lines over all that they differ in."""

import math
from collections.abc import Sequence
from typing import Any

from dashboards.console.drawing import Figure, by_cell, color, figure, is_log, nothing, some, varied
from dashboards.console.searched import Row, Searched
from search.common.labels import format_value


def parallel(found: Searched) -> Figure:
    """Return complete trials as lines over what they differ in, the best tenth drawn strongly."""
    complete = [row for row in found.complete if not row["baseline"]]
    names = varied(complete)
    if len(complete) < 2 or not names:
        return nothing("Two complete trials are needed for this picture.")
    shown = some(complete)
    axes = [*names, found.metric]
    places: list[list[float | None]] = []
    ticks: list[list[tuple[float, str]]] = []
    for name in axes:
        values = [
            row["value"] if name == found.metric else row["params"].get(name) for row in shown
        ]
        place, tick = scaled(values)
        places.append(place)
        ticks.append(tick)
    top = {row["trial"] for row in complete[: max(1, len(complete) // 10)]}
    data = []
    for cell, _ in by_cell(shown):
        for strong in (False, True):
            rows = [
                at
                for at, row in enumerate(shown)
                if row["cell"] == cell and (row["trial"] in top) is strong
            ]
            if rows:
                data.append(strand(shown, rows, places, cell, strong=strong))
    notes = [
        {"x": at, "y": y, "text": text, "showarrow": False, "xanchor": "left", "xshift": 5,
         "bgcolor": "var(--panel)", "font": {"size": 11}}
        for at, tick in enumerate(ticks) for y, text in tick
    ]  # fmt: skip
    summary = (
        f"{len(shown)} of {len(complete)} complete trials; the best tenth is drawn strongly. "
        f"The axes are {', '.join(axes)}."
    )
    return figure(
        data, "", "", summary,
        xaxis={"tickvals": list(range(len(axes))), "ticktext": [a.replace("_", " ") for a in axes],
               "range": [-0.15, len(axes) - 0.35], "side": "top", "showgrid": True, "title": None},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
        annotations=notes, legend={"orientation": "h", "y": -0.04, "yanchor": "top"},
        margin={"l": 16, "r": 48, "t": 40, "b": 32},
    )  # fmt: skip


def strand(
    shown: Sequence[Row], rows: Sequence[int], places: Sequence[Sequence[float | None]],
    cell: str, *, strong: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the lines of some trials over all axes as one trace."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        x += [*range(len(places)), None]
        y += [*(place[row] for place in places), None]
        text += [f"trial {shown[row]['trial']}: {format_value(shown[row]['value'])}"] * (
            len(places) + 1
        )
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "text": text, "connectgaps": False,
        "name": f"{cell.upper()}{', best tenth' if strong else ''}",
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": color(cell), "width": 3 if strong else 1},
        "opacity": 0.95 if strong else 0.35,
    }  # fmt: skip


def scaled(values: Sequence[Any]) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Return where values stand on an axis from 0 to 1, and its ticks."""
    known = [value for value in values if value is not None]
    if not known:
        return list(values), []
    numbers = [v for v in known if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(known):
        choices = sorted({str(value) for value in known})
        span = max(1, len(choices) - 1)
        at = {choice: place / span for place, choice in enumerate(choices)}
        return [None if v is None else at[str(v)] for v in values], [(y, c) for c, y in at.items()]
    log = is_log(numbers)
    low, high = min(numbers), max(numbers)

    def place(value: float) -> float:
        if low == high:
            return 0.5
        if log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    between = (low * high) ** 0.5 if log else (low + high) / 2
    if all(isinstance(v, int) for v in numbers):
        between = round(between)
    ticks = dict.fromkeys((low, between, high))
    return (
        [None if v is None else round(place(v), 4) for v in values],
        [(place(one), f"{one:.3g}") for one in ticks],
    )
