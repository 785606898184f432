"""Routes about jobs and their trials."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi import Path as InPath

from search.database.outbox import epochs_of_trial, read_epoch
from search.database.tables import Run, confirmation
from search.jobs import jobs, submission
from search.jobs.listing import MOST, Wanted, page
from search.jobs.loading import allowed
from search.service.api.context import BEARER, Caller, In, Service, found, needs, owned
from search.service.api.errors import DOCUMENTED, ApiError
from search.service.api.models import (
    NUMBER,
    Deleted,
    DocumentRequest,
    Epoch,
    Job,
    JobPage,
    JobRequest,
    Model,
    Reign,
    Status,
    TrialRow,
    finite,
)
from search.service.queue import enqueue
from search.study.warming import with_earlier_jobs
from search.upkeep.deletion import delete_by_id
from search.upkeep.doctor.examination import every_job, examining
from search.upkeep.doctor.treatment import doctor
from search.winner.promotion import champions, promote

router = APIRouter(prefix="/api/v1", tags=["jobs"], dependencies=[BEARER], responses=DOCUMENTED)

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=200,
        description="The same key with the same document makes one job, however often it is sent.",
    ),
]


@router.post(
    "/jobs",
    status_code=201,
    response_model=Job,
    responses={200: {"model": Job, "description": "the same request made the job before"}},
    dependencies=[needs("launch")],
)
def launch(
    body: JobRequest,
    service: In,
    caller: Caller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Put the job of a document into the queue. 200 where the same request made it before."""
    spec, source = submission.read(body.document, body.set)
    # Before the rest is asked for: what the job needed then may be gone by now.
    request = submission.request_of(caller.owner, idempotency_key)
    job = submission.made_by(service.store, request, source)
    response.status_code = 200
    if job is None:
        allowed(spec, service.home)
        submission.check_size(spec, service.settings.trials_a_job)
        job, is_new = submission.submit(
            service.store,
            with_earlier_jobs(service.store, spec),
            source,
            owner=caller.owner,
            priority=body.priority,
            key=idempotency_key,
            shared=service.home.is_shared,
        )
        response.status_code = 201 if is_new else 200
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return service.show(job)


@router.post("/check", tags=["documents"])
def check(body: DocumentRequest, service: In) -> dict[str, Any]:
    """Check a document without running it; returns it with its sections' defaults."""
    spec, _ = submission.read(body.document, body.set)
    allowed(spec, service.home)
    submission.check_size(spec, service.settings.trials_a_job)
    shown: dict[str, Any] = json.loads(spec.to_json())
    return shown


@router.get("/jobs", response_model=JobPage)
def listed(  # noqa: PLR0913 - each filters
    service: In,
    status: Status | None = None,
    name: Annotated[str | None, Query(max_length=64)] = None,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    *,
    in_turn: bool = False,
) -> dict[str, Any]:
    """List jobs, newest first; or, `in_turn`, the queue in its order, without pages."""
    if in_turn and (cursor is not None or status not in {None, "queued"}):
        raise ApiError(422, "invalid-request", "in_turn is of queued jobs alone, without pages")
    wanted = Wanted(status, name, owner, limit, cursor, in_turn=in_turn)
    shown, more = page(service.store, wanted)
    return {"jobs": shown, "next": more}


@router.get("/jobs/{job}", response_model=Job)
def show(job: str, service: In) -> dict[str, Any]:
    """Show a job, by its id or the name of which it is the newest."""
    return service.show(found(service, job))


@router.get("/jobs/{job}/trials", response_model=list[TrialRow])
def trials(job: str, service: In) -> list[dict[str, Any]]:
    """List a job's trials with their parameters, the confirmation's last."""
    return jobs.show_trials(service.store, found(service, job))


@router.get("/jobs/{job}/trials/{trial}/metrics", response_model=list[Epoch])
def metrics(
    job: str,
    trial: Annotated[int, InPath(ge=0, le=NUMBER)],
    service: In,
    confirm: bool = False,  # noqa: FBT001, FBT002
) -> list[dict[str, Any]]:
    """Return every epoch of a trial of the search, or of the confirmation."""
    one = found(service, job)
    study = confirmation(one.id) if confirm else one.id
    with service.store.session() as session:
        if session.get(Run, (study, trial)) is None:
            raise ApiError(404, "not-found", f"study {study} has no trial {trial}")
        rows = epochs_of_trial(session, study, trial)
    return [
        {"epoch": row.epoch, "time_ms": row.time_ms, "metrics": finite(read_epoch(row)[0])}
        for row in rows
    ]


@router.post(
    "/jobs/{job}/stop", response_model=Job, status_code=202, dependencies=[needs("launch")]
)
def stop(job: str, service: In, caller: Caller) -> dict[str, Any]:
    """Ask a job to stop; its status says when it has. What ran is not lost: `resume` goes on."""
    stopped = jobs.request_stop(service.store, owned(service, caller, job).id)
    service.forget(stopped.id)
    return service.show(stopped)


@router.post(
    "/jobs/{job}/resume", response_model=Job, status_code=202, dependencies=[needs("launch")]
)
def resume(job: str, service: In, caller: Caller) -> dict[str, Any]:
    """Put a job that was stopped or failed back into the queue."""
    one = owned(service, caller, job)
    enqueue(service.store, one.id)
    service.forget(one.id)
    return service.show(found(service, one.id))


@router.post("/jobs/{job}/promote", response_model=Model, dependencies=[needs("launch")])
def promote_job(job: str, service: In, caller: Caller) -> dict[str, Any]:
    """Make a job's model the champion of its name; promoting an earlier one rolls back."""
    one = owned(service, caller, job)
    model = promote(service.home, service.store, one.id, caller.owner)
    service.forget(one.id)
    return model


@router.get("/champions/{name}", response_model=list[Reign])
def champion(name: str, service: In) -> list[dict[str, Any]]:
    """Return the champions of a model's name, the present one first."""
    return champions(service.home, name)


@router.delete("/jobs/{job}", response_model=Deleted, dependencies=[needs("launch")])
def delete(job: str, service: In, caller: Caller) -> dict[str, str]:
    """Delete a job that has ended, with its runs, models, studies and files."""
    owned(service, caller, job)
    deleted = delete_by_id(service.home, service.store, job)
    service.forget(deleted)
    return {"deleted": deleted}


@router.get("/jobs/{job}/doctor", tags=["operations"])
def examine(job: str, service: In) -> dict[str, Any]:
    """Compare the job's study, journal, MLflow and files."""
    return examined(service, job, repair=False)


@router.post("/jobs/{job}/doctor", tags=["operations"], dependencies=[needs("launch")])
def repair(job: str, service: In, caller: Caller) -> dict[str, Any]:
    """Mend what can be mended, and compare again."""
    return examined(service, owned(service, caller, job).id, repair=True)


@router.get("/doctor", tags=["operations"], dependencies=[needs("admin")])
def examine_all(service: In) -> dict[str, Any]:
    """Compare study, journal, MLflow and files of all jobs."""
    return examined(service, None, repair=False)


@router.post("/doctor", tags=["operations"], dependencies=[needs("admin")])
def repair_all(service: In) -> dict[str, Any]:
    """Mend what can be mended in all jobs, and compare again."""
    return examined(service, None, repair=True)


def examined(service: Service, job: str | None, *, repair: bool) -> dict[str, Any]:
    """Return what doctor says of a job, or of all.

    Raises:
        NotPossibleError: another is at work; each reads all that MLflow has of a job.
    """
    ids = every_job(service.store) if job is None else [found(service, job).id]
    if not service.examining.acquire(blocking=False):
        raise jobs.NotPossibleError("another doctor is at work; try again when it has ended")
    try:
        with examining(service.home, service.store) as examiner:
            return doctor(examiner, ids, repair=repair, everything=job is None).as_json()
    finally:
        service.examining.release()
