"""When each trial was trained, and beside which others."""

import math
import time
from collections.abc import Sequence

from dashboards.console.drawing import MOST_POINTS, Figure, by_cell, color, figure, nothing, told
from dashboards.console.searched import Searched
from search.common.labels import counted

TIMES = ((3_600_000, "hours"), (60_000, "minutes"), (1000, "seconds"))
"""Milliseconds of a unit in which a span of time is told that has at least two of them."""


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
    number = counted(len(spans), "trial")
    told_of = number if len(begun) == len(spans) else f"The last {number}"
    summary = (
        f"{told_of} on {counted(workers, 'worker')} at once, "
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
