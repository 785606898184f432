"""What the workers are, what they do, and who waits for them."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psutil
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from dashboards.console.rendering import page
from search.database.tables import PARENT, Job, Run
from search.jobs.listing import MOST, Wanted, dead_owners, number_of
from search.jobs.listing import page as listing
from search.service.api.context import In, Service

router = APIRouter(prefix="/cluster")

SHOWN = 200
"""Jobs of the queue that the page lists."""


@router.get("")
def cluster(request: Request, service: In) -> HTMLResponse:
    """Show the page."""
    return page(request, "cluster.html", **state(service))


@router.get("/state")
def changed(request: Request, service: In) -> HTMLResponse:
    """Show what is in use now."""
    return page(request, "cluster_state.html", **state(service))


def state(service: Service) -> dict[str, Any]:
    """Return what there is, what is in use, and the queue in its order."""
    running, _ = listing(service.store, Wanted(status="running", limit=MOST))
    queued, _ = listing(service.store, Wanted(limit=SHOWN, in_turn=True))
    with service.store.session() as session:
        now = time.time()
        waiting = number_of(session, "queued", now, dead_owners(session, now))
    used = [job["workers"] for job in running if job["workers"]]
    gpus = [one["gpus"] for one in used]
    return {
        "running": running,
        "queued": queued,
        "waiting": waiting,
        "trials": sum(one["trials"] for one in used),
        "cpus": sum(one["cpus"] for one in used),
        "gpus": None if None in gpus else sum(gpus),
        "processors": processors(service),
        "nodes": nodes(service, [job["id"] for job in running]),
        "ray": service.home.ray_address,
        "trouble": service.trouble(),
        "load": load() if service.home.ray_address is None else None,
    }


def processors(service: Service) -> float | None:
    """Return how many processors there are for trials, by those that run; None where none does."""
    if service.home.ray_address is None:
        return os.cpu_count()
    with service.store.session() as session:
        known = session.execute(select(Job.slots, Job.document).where(Job.slots.is_not(None))).all()
    needs = [(slots, json.loads(document)["workers"]) for slots, document in known]
    # Of jobs that want GPUs these may be what there is room by.
    rooms = [float(slots * one["cpus"]) for slots, one in needs if one["gpus"] in ("auto", 0)]
    return max(rooms, default=None)


def nodes(service: Service, jobs: Sequence[str]) -> list[tuple[str, int, float]]:
    """Return each machine that trains for jobs: its name, its trials, when it began the first."""
    with service.store.session() as session:
        runs = session.execute(
            select(Run.worker, Run.started_ms).where(
                Run.job_id.in_(jobs), Run.status == "RUNNING", Run.trial != PARENT
            )
        ).all()
    known = [(worker, ms) for worker, ms in runs if worker is not None]
    counts = Counter(worker for worker, _ in known)
    first = {worker: min(ms for w, ms in known if w == worker) / 1000 for worker in counts}
    return [(worker, counts[worker], first[worker]) for worker in sorted(counts)]


def load() -> dict[str, float]:
    """Return how busy this machine is: what waits for its processors, and its memory."""
    memory = psutil.virtual_memory()
    return {
        "waiting": psutil.getloadavg()[0],
        "cpus": os.cpu_count() or 1,
        "memory": memory.percent / 100,
        "memory_gb": memory.total / 2**30,
    }
