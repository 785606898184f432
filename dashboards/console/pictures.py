"""Pictures of a search as Plotly's JSON, small enough to be sent while it runs.

Optuna draws the same questions (`optuna.visualization`) with a trace a trial; here trials of one
kind share a trace, so that a thousand of them move as one. Colours are names of the page's style.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dashboards.console.searched import Row, Searched
from search.labels import format_value

Figure = dict[str, Any]

MOST = 160
"""Curves and lines that are drawn: the best, and of the others every so many."""

MOST_POINTS = 300
"""Trials that are drawn as points or bars."""

CELLS = ("lstm", "gru")
SYMBOLS = {"lstm": "circle", "gru": "square"}
TIMES = ((3_600_000, "hours"), (60_000, "minutes"), (1000, "seconds"))
"""Milliseconds of a unit in which a span of time is told that has at least two of them."""

ACCENT = "var(--accent)"
FADED = 0.25


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
    told_of = f"{len(shown)} of {len(ranked)} trials" if len(shown) < len(ranked) else (
        f"{len(ranked)} trials"
    )  # fmt: skip
    summary = (
        f"{told_of}; those that ended early are faded. {word.capitalize()}: {name_of(best)}, "
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


def history(found: Searched) -> Figure:
    """Return each trial's value over its number, and the best so far."""
    complete = [row for row in found.trials if row["state"] == "complete"]
    if not complete:
        return nothing("No trial is complete yet.")
    ranked = [row for row in found.ranked if row["state"] == "complete"]
    data: list[dict[str, Any]] = [
        points(found, ones, cell, [row["trial"] for row in ones])
        for cell, ones in by_cell(some(ranked, MOST_POINTS))
    ]
    better = max if found.maximize else min
    so_far: list[float] = []
    for row in complete:
        so_far.append(better(so_far[-1], row["value"]) if so_far else row["value"])
    data.insert(
        0,
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "hoverinfo": "skip",
            "x": [row["trial"] for row in complete], "y": so_far,
            "line": {"color": ACCENT, "width": 2, "shape": "hv"},
        },
    )  # fmt: skip
    values = [row["value"] for row in complete]
    summary = (
        f"{len(complete)} complete trials; the best value went from {format_value(so_far[0])} to "
        f"{format_value(so_far[-1])}."
    )
    return figure(
        data, "trial", found.metric, summary, yaxis={"range": middle(values, found.maximize)},
        xaxis={"tickformat": "d"},
    )  # fmt: skip


def points(found: Searched, rows: Sequence[Row], cell: str, x: Sequence[Any]) -> dict[str, Any]:
    """Return trials of a cell as points at their values."""
    return {
        "type": "scatter", "mode": "markers", "name": cell.upper(), "x": list(x),
        "y": [row["best_epoch_value"] for row in rows],
        "text": [told(row, found.metric) for row in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": color(cell), "symbol": SYMBOLS[cell], "size": 8, "opacity": 0.75},
    }  # fmt: skip


def varied(rows: Sequence[Row]) -> list[str]:
    """Return the parameters in which trials differ, the cell first."""
    names = list(dict.fromkeys(name for row in rows for name in row["params"]))
    several = [name for name in names if len({str(row["params"].get(name)) for row in rows}) > 1]
    return sorted(several, key=lambda name: name != "cell")


def is_log(values: Sequence[Any]) -> bool:
    """Whether numbers are read more easily by their orders of magnitude."""
    return all(isinstance(v, float) and v > 0 for v in values) and max(values) / min(values) > 8


def parallel(found: Searched) -> Figure:
    """Return complete trials as lines over what they differ in, the best tenth drawn strongly."""
    complete = [row for row in found.ranked if row["state"] == "complete" and not row["baseline"]]
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


def slices(found: Searched) -> Figure:
    """Return the objective over each parameter by itself."""
    complete = [row for row in found.ranked if row["state"] == "complete"]
    names = [name for name in varied(complete) if name in found.spec.space and name != "cell"][:8]
    if len(complete) < 2 or not names:
        return nothing("Two complete trials are needed for this picture.")
    data, layout = [], {}
    values = [row["value"] for row in complete]
    for place, name in enumerate(names):
        nth = "" if place == 0 else str(place + 1)
        for cell, ones in by_cell(some(complete, MOST_POINTS)):
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
    summary = f"{found.metric} of {len(complete)} complete trials over {', '.join(names)}."
    return figure(
        data, "", found.metric, summary, yaxis={"range": middle(values, found.maximize)}, **layout
    )


def timeline(found: Searched, now_ms: float | None = None) -> Figure:
    """Return when each trial was trained, one above the other where they overlap.

    Args:
        found: the job.
        now_ms: until when trials have run that run still; this moment where None.
    """
    begun = [
        (found.spans[row["trial"]], row) for row in found.trials if row["trial"] in found.spans
    ]
    if not begun:
        return nothing("No trial has begun yet.")
    begun.sort(key=lambda one: one[0].began_ms)
    spans = begun[-MOST_POINTS:]
    now = 1000 * time.time() if now_ms is None else now_ms
    ends = [max(now if s.ended_ms is None else s.ended_ms, s.began_ms + 1) for s, _ in spans]
    places = lanes([(s.began_ms, s.ended_ms) for s, _ in spans])
    start = spans[0][0].began_ms
    long = max(ends) - start
    size, unit = next((s, u) for s, u in TIMES if long >= 2 * s or s == 1000)
    data = []
    for cell, _ in by_cell(row for _, row in spans):
        mine = [at for at, (_, row) in enumerate(spans) if row["cell"] == cell]
        early = [spans[at][1]["state"] not in {"complete", "running"} for at in mine]
        data.append({
            "type": "bar", "orientation": "h", "name": cell.upper(),
            "y": [f"worker {places[at] + 1}" for at in mine],
            "x": [(ends[at] - spans[at][0].began_ms) / size for at in mine],
            "base": [(spans[at][0].began_ms - start) / size for at in mine],
            "text": [
                f"{told(spans[at][1], found.metric)}<br>on {spans[at][0].worker or 'a node'}"
                for at in mine
            ],
            "textposition": "none",
            "hovertemplate": f"%{{text}}<br>%{{x:.2f}} {unit}<extra></extra>",
            "marker": {"color": color(cell), "opacity": [0.4 if e else 0.9 for e in early],
                       "line": {"color": "var(--panel)", "width": 1}},
        })  # fmt: skip
    workers = 1 + max(places)
    busy = sum(end - s.began_ms for (s, _), end in zip(spans, ends, strict=True))
    share = busy / (workers * max(1, long))
    told_of = (
        f"{len(begun)} trials" if len(begun) == len(spans) else f"The last {len(spans)} trials"
    )
    summary = (
        f"{told_of} on {workers} worker{'s' * (workers != 1)} at once, "
        f"busy {100 * min(1.0, share):.0f} percent."
    )
    return figure(
        data, f"{unit} since the first of them", "", summary, barmode="overlay",
        yaxis={"autorange": "reversed", "type": "category", "title": None},
    )  # fmt: skip


def lanes(spans: Sequence[tuple[int, int | None]]) -> list[int]:
    """Return a lane for each span of time, in the order of their beginnings; open ones keep it."""
    free: list[float] = []
    places = []
    for began, ended in spans:
        lane = next((at for at, until in enumerate(free) if until <= began), len(free))
        until = math.inf if ended is None else ended
        free[lane : lane + 1] = [until]
        places.append(lane)
    return places


def importance(shares: Mapping[str, float], metric: str) -> Figure:
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
        f"Of the differences in {metric}, {shares[first]:.0%} go with "
        f"{first.replace('_', ' ')} (fANOVA).",
        xaxis={"tickformat": ".0%"}, yaxis={"title": None},
    )  # fmt: skip


def front(found: Searched, cost: str) -> Figure:
    """Return complete trials by a cost and the objective."""
    complete = [row for row in found.ranked if row["state"] == "complete" and row["costs"]]
    if not complete:
        return nothing("No trial is complete yet.")
    data: list[dict[str, Any]] = [
        points(found, ones, cell, [row["costs"][cost] for row in ones])
        for cell, ones in by_cell(complete)
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
    unit = {"weights": "weights", "latency_ms": "milliseconds a sequence", "memory_mb": "MB"}
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
