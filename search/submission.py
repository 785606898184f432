"""Jobs that come to the queue: checked, written once however often they are sent."""

import hashlib
from collections.abc import Sequence
from typing import Any

import yaml
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from search import jobs
from search.document import as_launched
from search.faults import SpecError
from search.spec import JobSpec, parse_job
from search.store import Store
from search.tables import Job


def read(document: str | dict[str, Any], overrides: Sequence[str]) -> tuple[JobSpec, str]:
    """Return the job of a document, and the document as it was sent.

    Raises:
        SpecError: the document is not valid.
    """
    text = (
        document
        if isinstance(document, str)
        else yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    )
    return parse_job(text, overrides), as_launched(text, overrides)


def submit(  # noqa: PLR0913 - what a job of the queue is made of
    store: Store,
    spec: JobSpec,
    source: str,
    *,
    owner: str,
    priority: int = 0,
    key: str | None = None,
) -> tuple[Job, bool]:
    """Put a job into the queue; return it, and whether it is new.

    Args:
        store: the database.
        spec: the job's document.
        source: the document as it was written.
        owner: who launches it.
        priority: which of the queue goes first.
        key: of the request; the same again gives the job that it made.

    Raises:
        NotPossibleError: the key came with another document before.
    """
    request = None if key is None else hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()
    try:
        job_id = jobs.create(
            store,
            spec,
            source,
            owner=owner,
            priority=priority,
            supervised=True,
            request=request,
        )
    except IntegrityError:
        with store.session() as session:
            job = session.scalars(select(Job).where(Job.request == request)).one()
        if job.source != source:
            raise jobs.NotPossibleError(
                f"this idempotency key made job {job.id} of another document"
            ) from None
        return job, False
    return jobs.find(store, job_id), True


def check_size(spec: JobSpec, most: int) -> None:
    """Refuse a job of more trials than the service takes.

    Raises:
        SpecError: it has more.
    """
    if spec.budget.trials > most:
        raise SpecError(
            [f"budget.trials: must be at most {most} on this service, but got {spec.budget.trials}"]
        )
