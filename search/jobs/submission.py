"""Jobs that come to the queue: checked, written once however often they are sent."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from search.common.faults import SpecError
from search.database.store import Store
from search.database.tables import Job
from search.document.document import as_launched, dump_yaml
from search.document.spec import JobSpec, parse_job
from search.jobs import jobs

MOST_CHARACTERS = 65_536
"""Of a document: reading a megabyte of YAML takes ten seconds."""


def read(document: str | dict[str, Any], overrides: Sequence[str]) -> tuple[JobSpec, str]:
    """Return the job of a document, and the document as it was sent.

    Raises:
        SpecError: the document is not valid, or would cost more than reading it may.
    """
    try:
        check_length(document, overrides)
        text = document if isinstance(document, str) else dump_yaml(document)
        return parse_job(text, overrides), as_launched(text, overrides)
    except RecursionError:
        raise SpecError(["the document: is nested too deep"]) from None


def check_length(document: str | dict[str, Any], overrides: Sequence[str]) -> None:
    """Refuse what takes long to read.

    Raises:
        SpecError: there is more text than in any document.
    """
    text = document if isinstance(document, str) else json.dumps(document)
    length = len(text) + sum(len(one) for one in overrides)
    if length > MOST_CHARACTERS:
        raise SpecError(
            [f"the document: must be at most {MOST_CHARACTERS} characters long, but has {length}"]
        )


def submit(  # noqa: PLR0913 - what a job of the queue is made of
    store: Store,
    spec: JobSpec,
    source: str,
    *,
    owner: str,
    priority: int = 0,
    key: str | None = None,
    shared: bool = False,
) -> tuple[Job, bool]:
    """Put a job into the queue; return it, and whether it is new.

    Args:
        store: the database.
        spec: the job's document.
        source: the document as it was written.
        owner: who launches it.
        priority: which of the queue goes first.
        key: of the request; the same again gives the job that it made.
        shared: as `jobs.create` has it.

    Raises:
        NotPossibleError: as `made_by`.
    """
    request = request_of(owner, key)
    create = partial(
        jobs.create,
        store,
        spec,
        source,
        owner=owner,
        priority=priority,
        supervised=True,
        request=request,
        shared=shared,
    )
    try:
        job_id = create()
    except IntegrityError:
        job = made_by(store, request, source)
        if job is not None:
            return job, False
        job_id = create()  # another job was given the same id at the same moment
    return jobs.find(store, job_id), True


def request_of(owner: str, key: str | None) -> str | None:
    """Return what names an owner's request with an idempotency key; None without one."""
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest() if key else None


def made_by(store: Store, request: str | None, source: str) -> Job | None:
    """Return the job that a request has made of a document; None where it made none, or is none.

    Raises:
        NotPossibleError: it made one of another document.
    """
    if request is None:
        return None
    with store.session() as session:
        job = session.scalar(select(Job).where(Job.request == request))
    if job is not None and job.source != source:
        raise jobs.NotPossibleError(f"this idempotency key made job {job.id} of another document")
    return job


def check_size(spec: JobSpec, most: int) -> None:
    """Refuse a job of more trials than the service takes.

    Raises:
        SpecError: it has more.
    """
    trials, again = spec.budget.trials, spec.most_replicates
    if trials + again > most:
        key = "budget.trials" if trials >= again else "confirm"
        fault = f"must be at most {most} trials and confirming runs together on this service"
        raise SpecError([f"{key}: {fault}, but got {trials} and {again}"])
