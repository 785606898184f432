"""What the routes work on."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from search.common.home import Home
from search.database.store import Store
from search.database.tables import Job
from search.jobs import jobs
from search.service.api.errors import ApiError
from search.service.api.feed import Feed
from search.service.api.settings import Settings
from search.service.tokens import Principal, Role

BEARER = Security(
    HTTPBearer(
        auto_error=False, description="A token such as gt_…; by default none is needed on loopback."
    )
)
"""Lets the schema say how requests are authorized; the gate does it."""

FRESH_S = 1.0
"""How old an answer may be that many clients ask for at once."""

MOST_SHOWN = 1000
"""Jobs of which an answer is kept."""


@dataclass
class Shown:
    """A job as it was last shown; whoever reads it anew holds the lock."""

    read_at: float = 0.0
    content: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_fresh(self, job: Job) -> bool:
        """Whether it may be shown again."""
        is_young = time.monotonic() - self.read_at <= FRESH_S
        return is_young and self.content.get("status") == job.status


@dataclass
class Service:
    """One installation, as its service sees it."""

    home: Home
    store: Store
    settings: Settings
    trouble: Callable[[], list[str]] = field(default=list)
    """Returns what does not work just now, in sentences."""
    mlflow_url: str | None = None
    """Where people look at MLflow; None where that is not known."""
    shown: dict[str, Shown] = field(default_factory=dict)
    feeds: WeakValueDictionary[str, Feed] = field(default_factory=WeakValueDictionary)
    """Of the jobs that somebody follows."""
    examining: threading.Lock = field(default_factory=threading.Lock)
    """Held by the one doctor that may be at work."""
    looks: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(4))
    """Whoever looks at data, or waits to, holds no thread that answers others."""

    def show(self, job: Job) -> dict[str, Any]:
        """Return a job in full; for many clients at once it is read once a second."""
        if len(self.shown) >= MOST_SHOWN:
            self.shown.clear()
        shown = self.shown.setdefault(job.id, Shown())
        with shown.lock:
            if not shown.is_fresh(job):
                shown.content = jobs.show(self.store, job)
                shown.read_at = time.monotonic()
            return shown.content

    def forget(self, job_id: str) -> None:
        """Let the next answer about a job be a new one."""
        self.shown.pop(job_id, None)


def service_of(request: Request) -> Service:
    """Return the service of a request's app."""
    found: Service = request.app.state.service
    return found


def caller_of(request: Request) -> Principal:
    """Return who makes a request."""
    found: Principal = request.scope["gatetune.principal"]
    return found


def needs(role: Role) -> Any:
    """Return the dependency by which a route refuses callers without a role."""

    def check(request: Request) -> None:
        caller = caller_of(request)
        if not caller.may(role):
            raise ApiError(
                403, "role-needed", f"this needs the role {role}, but the token has {caller.role}"
            )

    return Depends(check)


In = Annotated[Service, Depends(service_of)]
Caller = Annotated[Principal, Depends(caller_of)]


def found(service: Service, key: str) -> Job:
    """Return a job by id, or the newest of a name.

    Raises:
        JobNotFoundError: there is none.
    """
    return jobs.find(service.store, key)


def owned(service: Service, caller: Principal, key: str) -> Job:
    """Return a job that the caller may change.

    Raises:
        JobNotFoundError: there is none.
        ApiError: it is another's.
    """
    job = found(service, key)
    if not caller.owns(job.owner):
        raise ApiError(
            403, "not-yours", f"job {job.id} belongs to {job.owner or 'nobody'}; an admin may do it"
        )
    return job
