"""Routes about what a job has made: its best model's files, and pictures of its search."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from search.database.storage import using_study
from search.document.spec import JobSpec
from search.report.figures import FIGURES
from search.report.report import Form, report
from search.service.api.context import BEARER, In, Service, found
from search.service.api.errors import DOCUMENTED, ApiError
from search.winner.fetching import answering, champion_files, offered

MEDIA = {
    "markdown": "text/markdown",
    "note": "text/markdown",
    "html": "text/html",
    "json": "application/json",
}

router = APIRouter(prefix="/api/v1", dependencies=[BEARER], responses=DOCUMENTED)


@router.get("/jobs/{job}/artifacts", tags=["jobs"])
def artifacts(job: str, service: In) -> list[str]:
    """Return the names of the files of a job's best model."""
    its = found(service, job)
    with answering(its):
        return list(offered(champion_files(service.home, its)))


@router.get("/jobs/{job}/artifacts/{name}", response_class=Response, tags=["jobs"])
def artifact(job: str, name: str, service: In) -> Response:
    """Return one file of a job's best model."""
    its = found(service, job)
    with answering(its):
        folder = champion_files(service.home, its)
        names = offered(folder)
        if name not in names:
            raise ApiError(404, "not-found", f"the model has the files {', '.join(names)}")
        content = folder.read(name)
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@router.get("/jobs/{job}/report", response_class=Response, tags=["jobs"])
def report_of(
    job: str, service: In, form: Annotated[Form, Query(alias="format")] = "markdown"
) -> Response:
    """Return what a job has found: as Markdown, as a page with pictures, or as JSON."""
    told = report(service.store, found(service, job), form)
    return Response(told[form], media_type=MEDIA[form])


@router.get("/jobs/{job}/figures/{name}", tags=["jobs"])
def figure(job: str, name: str, service: In) -> dict[str, Any]:
    """Return a picture of a job's search as Plotly's JSON.

    They are `history`, `curves`, `importances` and `parallel`.
    """
    return drawn(service, job, name)


def drawn(service: Service, key: str, name: str) -> dict[str, Any]:
    """Return a picture of a job.

    Raises:
        ApiError: there is no such picture, or nothing to draw yet.
    """
    job = found(service, key)
    if name not in FIGURES:
        raise ApiError(404, "not-found", f"the figures are {', '.join(FIGURES)}")
    metric = JobSpec.from_json(job.document).objective.metric
    try:
        with using_study(service.store, job.id) as study:
            picture = FIGURES[name](study, metric)
    except KeyError:
        raise ApiError(409, "not-possible", f"job {job.id} has no trials yet") from None
    shown: dict[str, Any] = json.loads(picture.to_json())
    return shown
