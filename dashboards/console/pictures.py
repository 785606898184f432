"""Pictures of a search, by name."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashboards.console.drawing import (
    ACCENT,
    MOST_POINTS,
    SYMBOLS,
    Figure,
    by_cell,
    color,
    count_of,
    figure,
    is_log,
    middle,
    name_of,
    nothing,
    points,
    some,
    varied,
)
from dashboards.console.parallel import parallel
from dashboards.console.searched import Row, Searched
from dashboards.console.timeline import timeline
from search.common.labels import format_value
from search.report.findings import hint

FADED = 0.25


def curves(found: Searched) -> Figure:
    """Return the objective over the epochs, by cell; trials that ended early are faded."""
    ranked, best = found.ranked, found.best
    if best is None:
        return nothing("No epoch has ended yet.")
    shown = some(ranked)
    word = "best" if best["state"] == "complete" else "best so far"
    data = []
    for cell, ones in by_cell(row for row in shown if row is not best):
        for early in (True, False):
            group = [row for row in ones if (row["state"] not in {"complete", "running"}) is early]
            if group:
                data.append(line_of(found, group, cell, early=early))
    data.append(
        line_of(found, [best], best["cell"], early=False)
        | {"name": f"{word}, {name_of(best)}"}
        | {"line": {"color": color(best["cell"]), "width": 4}}
    )
    summary = (
        f"{count_of(len(shown), len(ranked))} trials; those that ended early are faded. "
        f"{word.capitalize()}: {name_of(best)}, "
        f"{best['cell'].upper()}, {format_value(best['best_epoch_value'])}."
    )
    values = [v for row in shown for v in found.curves[row["trial"]] if math.isfinite(v)]
    return figure(
        data, "epoch", found.metric, summary, yaxis={"range": middle(values, found.maximize)},
        xaxis={"tickformat": "d"},
    )  # fmt: skip


def line_of(found: Searched, rows: Sequence[Row], cell: str, *, early: bool) -> dict[str, Any]:
    """Return the curves of trials as one trace."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        values = found.curves[row["trial"]]
        x += [*range(1, len(values) + 1), None]
        y += [*(round(v, 5) if math.isfinite(v) else None for v in values), None]
        text += [f"{name_of(row)}, {row['state']}"] * (len(values) + 1)
    return {
        "type": "scatter", "mode": "lines+markers", "x": x, "y": y, "text": text,
        "name": f"{cell.upper()}{', ended early' if early else ''}",
        "hovertemplate": "%{text}<br>epoch %{x}: %{y}<extra></extra>",
        "line": {"color": color(cell), "width": 1.5},
        "marker": {"size": 4, "symbol": SYMBOLS[cell]}, "opacity": FADED if early else 0.8,
    }  # fmt: skip


def history(found: Searched) -> Figure:
    """Return each trial's value over its number, and the best so far."""
    complete = sorted(found.complete, key=lambda row: row["trial"])
    if not complete:
        return nothing("No trial is complete yet.")
    shown = some(found.complete, MOST_POINTS)
    data: list[dict[str, Any]] = [
        points(found, ones, cell, [row["trial"] for row in ones]) for cell, ones in by_cell(shown)
    ]
    values = [row["value"] for row in complete]
    so_far = found.best_so_far(values)
    data.insert(
        0,
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "hoverinfo": "skip",
            "x": [row["trial"] for row in complete], "y": so_far,
            "line": {"color": ACCENT, "width": 2, "shape": "hv"},
        },
    )  # fmt: skip
    summary = (
        f"{count_of(len(shown), len(complete))} complete trials; the best value went from "
        f"{format_value(so_far[0])} to {format_value(so_far[-1])}."
    )
    return figure(
        data, "trial", found.metric, summary, yaxis={"range": middle(values, found.maximize)},
        xaxis={"tickformat": "d"},
    )  # fmt: skip


def slices(found: Searched) -> Figure:
    """Return the objective over each parameter by itself."""
    complete = found.complete
    names = [name for name in varied(complete) if name in found.spec.space and name != "cell"][:8]
    if len(complete) < 2 or not names:
        return nothing("Two complete trials are needed for this picture.")
    data, layout = [], {}
    values = [row["value"] for row in complete]
    shown = some(complete, MOST_POINTS)
    for place, name in enumerate(names):
        nth = "" if place == 0 else str(place + 1)
        for cell, ones in by_cell(shown):
            own = [row for row in ones if row["params"].get(name) is not None]
            x = [row["params"][name] for row in own]
            trace = points(found, own, cell, [str(v) if isinstance(v, bool) else v for v in x])
            data.append(trace | {
                "xaxis": f"x{nth}", "yaxis": "y", "showlegend": place == 0, "legendgroup": cell,
            })  # fmt: skip
        kind = (
            "log" if is_log([r["params"][name] for r in complete if name in r["params"]]) else None
        )
        width = 1 / len(names)
        layout[f"xaxis{nth}"] = {
            "title": {"text": name.replace("_", " ")}, "anchor": "y", "type": kind, "nticks": 4,
            "domain": [place * width + 0.02, (place + 1) * width - 0.02],
            **({"dtick": "D2"} if kind else {}),
        }  # fmt: skip
    number = count_of(len(shown), len(complete))
    summary = f"{found.metric} of {number} complete trials over {', '.join(names)}."
    return figure(
        data, "", found.metric, summary, yaxis={"range": middle(values, found.maximize)}, **layout
    )


def importance(shares: Mapping[str, float], found: Searched) -> Figure:
    """Return how much of the differences in the objective goes with each parameter."""
    if not shares:
        return nothing("More complete trials are needed to tell which parameters matter.")
    names = list(reversed(list(shares)))
    bars = {
        "type": "bar", "orientation": "h", "x": [shares[name] for name in names],
        "y": [name.replace("_", " ") for name in names], "marker": {"color": ACCENT},
        "text": [f"{shares[name]:.0%}" for name in names], "textposition": "auto",
        "hoverinfo": "skip",
    }  # fmt: skip
    first = next(iter(shares))
    return figure(
        [bars], "share of the differences", "",
        f"Of the differences in {found.metric}, {shares[first]:.0%} go with "
        f"{first.replace('_', ' ')} (fANOVA).{hint(len(found.complete))}",
        xaxis={"tickformat": ".0%"}, yaxis={"title": None},
    )  # fmt: skip


def front(found: Searched, cost: str) -> Figure:
    """Return complete trials by a cost and the objective."""
    complete = [row for row in found.complete if row["costs"]]
    if not complete:
        return nothing("No trial is complete yet.")
    data: list[dict[str, Any]] = [
        points(found, ones, cell, [row["costs"][cost] for row in ones])
        for cell, ones in by_cell(some(complete, MOST_POINTS))
    ]
    best: list[Row] = []
    sign = 1 if found.maximize else -1
    for row in sorted(complete, key=lambda row: (row["costs"][cost], -sign * row["value"])):
        if not best or sign * row["value"] > sign * best[-1]["value"]:
            best.append(row)
    data.append({
        "type": "scatter", "mode": "lines", "name": "the front", "hoverinfo": "skip",
        "x": [row["costs"][cost] for row in best], "y": [row["value"] for row in best],
        "line": {"color": ACCENT, "width": 2, "shape": "hv"},
    })  # fmt: skip
    unit = {"weights": "weights", "latency_ms": "milliseconds a sequence", "size_mb": "MB"}
    return figure(
        data, unit.get(cost, cost), found.metric,
        f"{len(best)} of {len(complete)} complete trials have none beside them that is both better "
        "and cheaper.",
    )  # fmt: skip


PICTURES: Mapping[str, Callable[[Searched], Figure]] = {
    "curves": curves,
    "history": history,
    "parallel": parallel,
    "slices": slices,
    "timeline": timeline,
}
"""Pictures for which a job's trials are enough, by name."""

TITLES: Mapping[str, str] = {
    "curves": "Learning curves",
    "history": "Best so far",
    "parallel": "Configurations",
    "importance": "Which parameters matter",
    "timeline": "Workers",
    "slices": "Each parameter by itself",
}
"""What people call each picture, in the order of the page."""
