"""The page of a job: live while it runs, with its answer when it has ended."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup

from dashboards.console import joblog, pictures
from dashboards.console.drawing import nothing, varied
from dashboards.console.importance import IMPORTANCES
from dashboards.console.rendering import nothing_new, page
from dashboards.console.searched import SHELF, Searched
from dashboards.console.trialtable import SHOWN, Wanted, table
from search.common.labels import against, ended
from search.database.lease import LIVE
from search.database.recorded import study_id
from search.database.result import Result
from search.database.tables import Job
from search.report.figures import confusion
from search.report.pages import prose
from search.report.report import sections_of
from search.service.api.context import Caller, In, Service, found
from search.service.api.errors import ApiError

router = APIRouter(prefix="/jobs")

PASSES_S = 5
"""After so long the head of a live job is sent again, whatever has happened: its time passes."""

Text = Annotated[str, Query(max_length=200)]
Texts = Annotated[Sequence[str], Query(max_length=64)]


def state(service: Service, caller: Caller, job: Job) -> dict[str, Any]:
    """Return what the head of the page says of a job."""
    trials = SHELF.read(service.store, job)
    shown = service.show(job)
    running = [row for row in trials.rows if row["state"] == "running"]
    return {
        "job": shown,
        "running": running,
        "ended": ended(shown),
        "against": against(shown),
        "confirming": [row for row in trials.rows if row["study"] != job.id],
        "to_confirm": trials.spec.most_replicates,
        "best_of_cell": trials.best_of_cell,
        "live": shown["status"] in LIVE,
        "seen": version(shown),
        "mine": caller.owns(job.owner),
    }


def version(shown: dict[str, Any]) -> str:
    """Return a text that changes whenever the head of the page would, and as time passes.

    It begins with the revision and the status of what is shown, which may be a second old.
    """
    now = int(time.time() // PASSES_S) if shown["status"] in LIVE else 0
    told = ("revision", "status", "undelivered")
    return "-".join([*(str(shown[one]) for one in told), str(bool(shown["model"])), str(now)])


@router.get("/{key}")
def job_page(request: Request, key: str, service: In, caller: Caller) -> HTMLResponse:
    """Show a job."""
    job = found(service, key)
    trials = SHELF.read(service.store, job)
    with service.store.session() as session:
        number = study_id(session, job.id)
    return page(
        request,
        "job.html",
        study=number,
        **state(service, caller, job),
        **trial_rows(trials, Wanted()),
        pictures=tuple(pictures.TITLES.items()),
        fronts=trials.spec.objective.beside,
        done=job.result is not None,
        told_classes=job.result is not None and trials.spec.task == "classification",
        source=job.source,
    )


@router.get("/{key}/head")
def head(request: Request, key: str, service: In, caller: Caller, seen: Text = "") -> HTMLResponse:
    """Show what is new of a job; pictures and tables are told that something is."""
    job = found(service, key)
    told = state(service, caller, job)
    if seen == told["seen"]:
        return nothing_new()
    revision, _, rest = seen.partition("-")
    if rest.startswith(tuple(LIVE)) and not told["live"]:
        return HTMLResponse(headers={"HX-Refresh": "true"})
    is_new = revision != str(told["job"]["revision"])
    return page(
        request, "job_head.html", headers={"HX-Trigger": "figures"} if is_new else {}, **told
    )


@router.get("/{key}/table")
def trial_table(  # noqa: PLR0913 - each filters
    request: Request, key: str, service: In, order: Text = "", state: Text = "",
    cell: Text = "", text: Text = "", first: Annotated[int, Query(ge=0)] = 0, hide: Texts = (),
) -> HTMLResponse:  # fmt: skip
    """Show a part of a job's trials."""
    trials = SHELF.read(service.store, found(service, key))
    return page(
        request, "trials.html", job=service.show(trials.job),
        **trial_rows(trials, Wanted(order, state, cell, text, first, frozenset(hide))),
    )  # fmt: skip


def trial_rows(trials: Searched, wanted: Wanted) -> dict[str, Any]:
    """Return what the table of trials shows."""
    rows, number, wanted = table(trials.rows, wanted, maximize=trials.maximize)
    several = varied(trials.rows)
    return {
        "rows": rows,
        "number": number,
        "wanted": wanted,
        "shown": SHOWN,
        "metric": trials.metric,
        "names": [name for name in several if name not in wanted.hidden],
        "columns": several,
    }


@router.get("/{key}/pictures/{name}")
def picture(request: Request, key: str, name: str, service: In) -> Response:
    """Return a picture as Plotly's JSON; 304 where the asker has it as it is."""
    job = found(service, key)
    trials = SHELF.read(service.store, job)
    # Importances take seconds, and follow from complete trials alone.
    of = len(trials.complete) if name == "importance" else job.revision
    tag = f'"{hashlib.sha256(f"{job.id} {of} {job.status} {name}".encode()).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    drawn = draw(service, trials, name)
    return JSONResponse(drawn, headers={"etag": tag, "cache-control": "no-cache"})


def draw(service: Service, trials: Searched, name: str) -> dict[str, Any]:
    """Return a picture of a job.

    Raises:
        ApiError: there is no such picture.
    """
    result = trials.job.found if name == "confusion" else None
    if result is not None:
        return told_classes(result, trials.job.data.get("classes") or [])
    if name == "importance":
        return IMPORTANCES.draw(trials, service.store)
    kind, _, cost = name.partition(".")
    if kind == "front" and cost in trials.spec.objective.beside:
        return pictures.front(trials, cost)
    if name not in pictures.PICTURES:
        raise ApiError(404, "not-found", f"the pictures are {', '.join(pictures.TITLES)}")
    return pictures.PICTURES[name](trials)


def told_classes(result: Result, names: list[str]) -> dict[str, Any]:
    """Return how each class of the test part is told."""
    if not result.confusion:
        return nothing("The test part is not of classes.")
    drawn: dict[str, Any] = json.loads(confusion(result.confusion, names).to_json())
    kept = {key: drawn["layout"][key] for key in ("xaxis", "yaxis")}
    right = sum(row[at] for at, row in enumerate(result.confusion))
    every = sum(map(sum, result.confusion))
    return {
        "data": drawn["data"],
        "layout": kept,
        "summary": f"{right} of {every} test sequences are told right by the model of the best "
        "seed. The colour is the share of a class.",
    }


@router.get("/{key}/answer")
def answer(request: Request, key: str, service: In) -> HTMLResponse:
    """Show what a job has found: the report, in sections."""
    job = found(service, key)
    told = [
        {
            "title": one.title,
            "sentences": [Markup(prose(text)) for text in one.sentences],  # noqa: S704 - it escapes
            "table": one.table,
        }
        for one in sections_of(service.store, job)
    ]
    return page(request, "answer.html", sections=told)


@router.get("/{key}/log")
def log(request: Request, key: str, service: In, seen: Text = "") -> HTMLResponse:
    """Show the end of what a job's driver has said, unless nothing is new."""
    job = found(service, key)
    lines, status = joblog.read(service.home, job.id), service.show(job)["status"]
    now = hashlib.sha256(repr((lines, status)).encode()).hexdigest()[:16]
    if seen == now:
        return nothing_new()
    live = status in LIVE
    return page(request, "log.html", lines=lines, id=job.id, live=live, status=status, seen=now)
