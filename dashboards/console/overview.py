"""What the list of jobs shows of each: how far it is, and how its best value grew."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select

from search.database.recorded import values_of
from search.database.store import Store
from search.database.tables import Job
from search.jobs.listing import STATUSES, Wanted, page
from trainables.metrics import sign_of

MOST = 500
"""Jobs that match and are put in order; the newest."""

SHOWN = 100

PASSES_S = 10
"""After so long a list with a running job is sent again, whatever has happened."""

POINTS = 48
"""Of a small line."""

Listed = dict[str, Any]


def worst_last(job: Listed) -> tuple[bool, float]:
    """Order by what a job has reached, in the direction of its objective."""
    value = job["best_value"]
    sign = -sign_of(job["objective"]["direction"])
    return value is None, 0.0 if value is None else sign * value


ORDERS: Mapping[str, Callable[[Listed], Any]] = MappingProxyType(
    {
        "newest": lambda job: -job["created_at"],
        "oldest": lambda job: job["created_at"],
        "name": lambda job: (job["name"], -job["created_at"]),
        "best": worst_last,
        "longest": lambda job: -job["elapsed_s"],
        "status": lambda job: (job["status"] != "running", job["status"], -job["created_at"]),
    }
)


@dataclass(frozen=True)
class Overview:
    """The jobs that are wanted, in order."""

    jobs: list[Listed]
    more: int
    """Jobs that match and are not shown."""
    is_all: bool
    """Whether there are no older ones that match."""


def version(store: Store) -> str:
    """Return a text that changes whenever the list would, and now and then while jobs run.

    Time passes for them, and a driver may have died, which nobody writes down.
    """
    with store.session() as session:
        changes = select(func.count(), func.sum(Job.revision), func.max(Job.created_at))
        changed = session.execute(changes).one()
        statuses = select(Job.status, func.count()).group_by(Job.status).order_by(Job.status)
        numbers = {status: number for status, number in session.execute(statuses)}  # noqa: C416 - rows are no pairs to mypy
    now = time.time() // PASSES_S if "running" in numbers else 0
    return hashlib.sha256(repr((tuple(changed), numbers, now)).encode()).hexdigest()[:16]


def overview(store: Store, status: str, text: str, order: str) -> Overview:
    """Return the jobs of a status whose id or owner holds every word of a text."""
    wanted = Wanted(status if status in STATUSES else None, text=text, limit=MOST)
    found, cursor = page(store, wanted)
    found.sort(key=ORDERS.get(order, ORDERS["newest"]))
    shown = found[:SHOWN]
    with store.session() as session:
        values = values_of(session, [job["id"] for job in shown])
    for job in shown:
        maximize = job["objective"]["direction"] == "maximize"
        job["line"] = thinned(list(accumulate(values.get(job["id"], ()), max if maximize else min)))
    return Overview(shown, len(found) - len(shown), is_all=cursor is None)


def thinned(values: list[float]) -> list[float]:
    """Return every so many of values, and the last."""
    return [*values[:: max(1, len(values) // POINTS)], *values[-1:]]
