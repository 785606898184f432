"""Jobs of a queue, as tests write, claim and read them."""

import time

from search.common.limits import Limits
from search.database.lease import identity
from search.database.store import Store
from search.database.tables import Job
from search.service.queue import claim
from tests.search.conftest import add_job, make_spec

SPEC = make_spec()
ELSEWHERE = "elsewhere:1:2:ab"
"""A process of another host, of which only its lease tells whether it lives."""

CLAIMS = [f"elsewhere:1:{number}:cd" for number in (3, 4, 5)]


def add(store: Store, job_id: str, **values: object) -> str:
    """Write a job that waits in the queue."""
    return add_job(
        store, SPEC, job_id, **{"status": "queued", "supervised": True, "created_at": 1.0} | values
    )


def add_live(store: Store, job_id: str, **values: object) -> str:
    """Write a job that a driver of another host runs."""
    live = {"status": "running", "lease_owner": ELSEWHERE, "lease_until": time.time() + 60}
    return add(store, job_id, **live | values)


def read(store: Store, job_id: str) -> Job:
    with store.session() as session:
        return session.get_one(Job, job_id)


def claim_all(store: Store, limits: Limits = Limits(), now: float | None = None) -> list[str]:  # noqa: B008 - frozen
    """Claim until there is nothing to take, and return what was taken."""
    claimed = []
    while (job := claim(store, identity(), limits, now)) is not None:
        claimed.append(job.id)
    return claimed
