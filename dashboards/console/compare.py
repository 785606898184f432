"""Two to five jobs beside each other."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse

from dashboards.console.drawing import Figure, figure, middle, nothing
from dashboards.console.rendering import page
from dashboards.console.searched import SHELF, Searched
from search.common.labels import format_value
from search.document.document import flatten
from search.jobs.listing import Wanted
from search.jobs.listing import page as listing
from search.service.api.context import In, Service, found

router = APIRouter(prefix="/compare")

MOST = 5
"""Jobs beside each other: more lines cannot be told apart."""

COLORS = ("var(--accent)", "#cc79a7", "#e69f00", "#56b4e9", "#8a6bd1")
"""Of Okabe and Ito (2008) but those of the cells, which mean something else here."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

Jobs = Annotated[list[Annotated[str, Query(max_length=100)]], Query(max_length=20)]


@router.get("")
def compare(request: Request, service: In, job: Jobs = []) -> HTMLResponse:  # noqa: B006 - FastAPI copies it
    """Show jobs beside each other, or let some be chosen."""
    shown = chosen(service, job)
    newest, _ = listing(service.store, Wanted(limit=200))
    known = dict.fromkeys([*(one.job.id for one in shown), *(job["id"] for job in newest)])
    return page(
        request,
        "compare.html",
        jobs=[service.show(one.job) for one in shown],
        differing=differing(shown),
        known=known,
        most=MOST,
        query="&".join(f"job={one.job.id}" for one in shown),
    )


@router.get("/pictures/{across}")
def picture(across: str, service: In, job: Jobs = []) -> JSONResponse:  # noqa: B006
    """Return the best value so far of jobs, over trials or over minutes."""
    drawn = progress(chosen(service, job), in_minutes=across == "minutes")
    return JSONResponse(drawn, headers={"cache-control": "no-cache"})


def chosen(service: Service, keys: list[str]) -> list[Searched]:
    """Return the jobs of some ids, each once, and no more than can be told apart."""
    jobs = {job.id: job for job in (found(service, key) for key in keys if key)}
    return [SHELF.read(service.store, job) for job in list(jobs.values())[:MOST]]


def differing(shown: list[Searched]) -> list[tuple[str, list[str]]]:
    """Return the settings in which documents differ, and the value of each job."""
    documents: list[dict[str, Any]] = [flatten(one.spec.model_dump(mode="json")) for one in shown]
    keys = dict.fromkeys(key for document in documents for key in document)
    rows = [(key, [document.get(key, "–") for document in documents]) for key in keys]
    return [(key, values) for key, values in rows if key != "name" and len({*values}) > 1]


def progress(shown: list[Searched], *, in_minutes: bool) -> Figure:
    """Return the best value so far of each job, as lines that colour and dashes tell apart."""
    metric = shown[0].metric if shown else ""
    alike = [one for one in shown if one.metric == metric]
    data: list[dict[str, Any]] = []
    for one in alike:
        x, y = best_so_far(one, in_minutes=in_minutes)
        if y:
            place = shown.index(one)
            data.append({
                "type": "scatter", "mode": "lines", "name": one.job.id, "x": x, "y": y,
                "line": {"shape": "hv", "width": 2.5}
                | {"color": COLORS[place], "dash": DASHES[place]},
                "hovertemplate": f"{one.job.id}<br>%{{x}}: %{{y:.4f}}<extra></extra>",
            })  # fmt: skip
    if not data:
        return nothing("None of these jobs has a complete trial yet.")
    told = ", ".join(f"{trace['name']} {format_value(trace['y'][-1])}" for trace in data)
    others = ", ".join(one.job.id for one in shown if one not in alike)
    left_out = f" Of another objective, and left out: {others}." if others else ""
    values = [value for trace in data for value in trace["y"]]
    return figure(
        data, "minutes since the first trial" if in_minutes else "complete trials", metric,
        f"Best so far at the end: {told}.{left_out}",
        yaxis={"range": middle(values, shown[0].maximize)},
    )  # fmt: skip


def best_so_far(one: Searched, *, in_minutes: bool) -> tuple[list[float], list[float]]:
    """Return when a job's best value changed, and to what."""
    complete = sorted(one.complete, key=lambda row: row["trial"])
    if in_minutes:
        start = min((span.began_ms for span in one.spans.values()), default=0)
        spans = [(one.spans.get(row["trial"]), row["value"]) for row in complete]
        ends = [
            (((span.ended_ms or start) - start) / 60_000, value) for span, value in spans if span
        ]
        ends.sort()
    else:
        ends = [(float(at), row["value"]) for at, row in enumerate(complete, start=1)]
    return [round(at, 3) for at, _ in ends], one.best_so_far(value for _, value in ends)
