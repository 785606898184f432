"""The launch page: choose data, build the space, see every fault and what it will take."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field
from sqlalchemy import select

from dashboards.console import form
from dashboards.console.cluster import processors
from dashboards.console.preview import Preview, looked_at, preview
from dashboards.console.rendering import page, render
from search.common.faults import SpecError, read
from search.database.tables import Job
from search.document.document import dump_yaml, split_launched
from search.document.rules import called
from search.document.sections import Data
from search.document.spec import JobSpec, document_of
from search.drafting.drafting import Draft
from search.drafting.expectation import expected_s
from search.drafting.survey import survey
from search.driver.cluster import fitting_by_cpus
from search.jobs import submission
from search.jobs.loading import allowed
from search.service.api.context import In, Service, found, needs
from search.service.api.models import Request as Body
from search.service.api.uploads import uploaded
from search.study.warming import with_earlier_jobs
from trainables.faults import DatasetError
from trainables.sources import DOWNLOADED, SOURCES

router = APIRouter(prefix="/launch", dependencies=[needs("launch")])

EXAMPLE = """\
# 1,797 handwritten digits of 8 by 8 pixels, read row by row: a search that ends within minutes.
name: digits
data: {source: digits, validation: 0.2}
# What is searched.
space:
  cell: [lstm, gru]
  hidden_size: {low: 16, high: 64, step: 16}
  layers: {low: 1, high: 2}
  learning_rate: {low: 1.0e-3, high: 5.0e-2, log: true}
  dropout: {low: 0.0, high: 0.4, when: {layers: {at_least: 2}}}
# What the winner has to beat.
baseline:
  - {cell: lstm, hidden_size: 64, layers: 2, learning_rate: 0.001, schedule: constant}
  - {cell: gru, hidden_size: 64, layers: 2, learning_rate: 0.001, schedule: constant}
training: {epochs: 6}
budget: {trials: 14}
confirm: {top: 1, seeds: 2}
"""
"""What the page begins with."""

Key = Annotated[str, Query(max_length=200)]


class Change(Body):
    """What a person has typed into a field."""

    part: str = Field(max_length=64)
    value: Annotated[str, Field(max_length=2000)] | list[Annotated[str, Field(max_length=200)]]


class Check(Body):
    """The document as it stands on the page, and the changes that are to be made in it."""

    document: str
    changes: list[Change] = Field([], max_length=100)


@router.get("")
async def launch(request: Request, service: In, job: Key = "", data: Key = "") -> HTMLResponse:
    """Show the page, with the document of an earlier job, of uploaded data, or the example."""
    looks = bool(data) and data not in SOURCES and not job
    limiter = service.looks if looks else None
    return await run_sync(shown, request, service, job, data, limiter=limiter)


def shown(request: Request, service: Service, job: str, data: str) -> HTMLResponse:
    """Return the page."""
    text, trouble = begun(service, job, data)
    return page(
        request,
        "launch.html",
        document=text,
        trouble=trouble,
        first=form.FIRST,
        groups=form.GROUPS,
        values=form.values_of(text),
        sources=SOURCES,
        uploaded=[path.name for path in uploaded(service)],
        of=job,
        most_mb=service.settings.upload_bytes // 2**20,
    )


def begun(service: Service, job: str, data: str) -> tuple[str, str]:
    """Return the document that the page begins with, and why it is not what was asked for."""
    if job:
        return as_begun(found(service, job).source), ""
    if data in SOURCES:
        return example_of(data), ""
    if data:
        try:
            return drafted(service, data), ""
        except (SpecError, DatasetError) as error:
            return example_of(data), str(error)
    return EXAMPLE, ""


def example_of(data: str) -> str:
    """Return the example for other data, without what it says of its own."""
    _, _, rest = EXAMPLE.partition("\n")
    return form.changed(form.changed(rest, "data.source", data), "name", called(data))


def as_begun(source: str) -> str:
    """Return the document of a job with what replaced parts of it, its comments where none did."""
    text, overrides = split_launched(source)
    if not overrides:
        return source
    faults: list[str] = []
    document = document_of(text, overrides, faults, folder=None)
    return source if faults else dump_yaml(document)


def drafted(service: Service, name: str) -> str:
    """Return the document that `gatetune init` would write for an uploaded file.

    Raises:
        SpecError: it may not be read.
        DatasetError: it cannot be read, or what it holds not be learned.
    """
    faults: list[str] = []
    data = read(Data, {"source": name}, "data", faults)
    if data is None:
        raise SpecError(faults)
    path = service.home.places.find("data.source", name)
    with looked_at([path]):
        found = survey(path, data)
    return Draft(found, name, {}, Path(f"{Path(name).stem}.yaml")).document()


@router.post("/check")
async def check(body: Check, service: In) -> Response:
    """Make changes in the document, and return it with its fields, faults and forecast.

    In ASCII: a document may hold a text that no encoding has.
    """
    told = await checked(body, service)
    return Response(json.dumps(told), media_type="application/json")


async def checked(body: Check, service: Service) -> dict[str, Any]:
    """Return what the page shows of a document."""
    text, spec = await run_sync(changed, body, service)
    at_field, rest, told = dict[str, list[str]](), list[str](), ""
    try:
        if isinstance(spec, SpecError):
            raise spec
        seen = await run_sync(preview, spec, service.home, limiter=service.looks)
        told = await run_sync(forecast, service, spec, seen)
    except SpecError as error:
        at_field, rest = form.placed(error.faults)
    except DatasetError as error:
        at_field = {"data.source": [str(error)]}
    return await run_sync(answer, text, at_field, rest, told)


def changed(body: Check, service: Service) -> tuple[str, JobSpec | SpecError]:
    """Return the document with the changes made in it, and its job, or what is wrong with it."""
    text = body.document
    try:
        for change in body.changes:
            text = form.changed(text, change.part, change.value)
        spec, _ = submission.read(text, ())
        allowed(spec, service.home)
        submission.check_size(spec, service.settings.trials_a_job)
        return text, with_earlier_jobs(service.store, spec)
    except SpecError as error:
        return text, error


def answer(text: str, at_field: dict[str, list[str]], rest: list[str], told: str) -> dict[str, Any]:
    """Return the page's parts as its script takes them."""
    return {
        "document": text,
        "values": form.values_of(text),
        "faults": at_field,
        "rest": rest,
        "forecast": told,
    }


def forecast(service: Service, spec: JobSpec, seen: Preview | None) -> str:
    """Return what launching the job would mean, as HTML."""
    at_once = workers(service, spec)
    return render(
        "launch_forecast.html",
        seen=seen,
        downloaded=DOWNLOADED,
        spec=spec,
        at_once=at_once,
        expected_s=seen and expected_s(spec, seen.sizes, at_once),
        ahead=ahead(service),
        confirmed=spec.most_replicates,
    )


def workers(service: Service, spec: JobSpec) -> int:
    """Return how many trials of a job may run at once, as far as the service knows."""
    at_once = max(1, fitting_by_cpus(processors(service) or os.cpu_count() or 1, spec.workers))
    asked = spec.workers.concurrent
    return min(at_once, spec.budget.trials, *([asked] if isinstance(asked, int) else []))


def ahead(service: Service) -> int:
    """Return how many jobs run or wait already."""
    with service.store.session() as session:
        live = select(Job.id).where(Job.status.in_(("queued", "running")))
        return len(session.scalars(live).all())
