"""A process beside the driver that carries the journal to MLflow, so that training never waits.

`courier` starts it, on behalf of the lease's owner. It delivers until its standard input says
``drain`` (deliver the rest, then end) or closes (the driver is gone: end at once; the next one goes
on).
"""

import logging
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import update

from search.common.home import Home
from search.common.logs import write_json
from search.common.texts import first_line
from search.database.lease import LeaseLostError
from search.database.storage import DATABASE_AWAY
from search.database.store import Store
from search.database.tables import Job
from search.tracking.handover import ROWS, VERIFICATIONS, Delivery
from search.tracking.tracking import Tracking

logger = logging.getLogger("gatetune.delivery")

PAUSE_S = 1.0
"""Shortest pause between rounds: what gathers meanwhile goes in fewer requests, which cost most."""

PATIENCE_S = 30.0
"""How long a drain goes on trying while MLflow does not answer."""


class Orders:
    """What the driver says through standard input, read by a thread."""

    def __init__(self, stream: Callable[[], str]) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.draining = False
        self.abandoned = False
        threading.Thread(target=self.listen, args=(stream,), daemon=True).start()

    def listen(self, stream: Callable[[], str]) -> None:
        """Pass lines on until the stream ends, whose end is the empty line."""
        while line := stream():
            self.lines.put(line)
        self.lines.put("")

    def wait(self, seconds: float) -> None:
        """Wait for an order, at most so long."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            return
        self.draining = self.draining or line.strip() == "drain"
        self.abandoned = line == "" and not self.draining


@dataclass
class Rounds:
    """The loop of the process: connect, deliver, and on trouble of any kind try again later."""

    store: Store
    job_id: str
    owner: str
    connect: Callable[[], Delivery]
    orders: Orders
    delivery: Delivery | None = None
    failing_since: float | None = None
    pause: float = 1.0
    verified: int = 0

    def run(self) -> bool:
        """Deliver until told to end; return whether everything arrived."""
        while not self.orders.abandoned:
            try:
                done = self.step()
            except LeaseLostError:
                raise
            except Exception as error:  # a store of artifacts has errors of its own
                if self.give_up(error):
                    return False
            else:
                self.recover()
                if done:
                    return True
        return False

    def step(self) -> bool:
        """Deliver what there is; return whether it was the last."""
        if self.delivery is None:
            delivery = self.connect()
            delivery.start()
            self.delivery = delivery
        began = time.monotonic()
        delivered = self.delivery.deliver()
        if delivered or not self.orders.draining:
            hurries = self.orders.draining or delivered >= ROWS
            # A slow MLflow gets as long a pause as it took; the driver may be gone, too.
            self.orders.wait(0 if hurries else max(PAUSE_S, time.monotonic() - began))
            return False
        self.verified += 1
        return self.delivery.verify() == 0 or self.verified >= VERIFICATIONS

    def give_up(self, error: BaseException) -> bool:
        """Note that MLflow, or the database, is away; wait, or say that it has been too long."""
        now = time.monotonic()
        self.delivery = None
        if self.failing_since is None:
            self.failing_since = now
            logger.warning("cannot deliver, metrics wait in the journal: %s", first_line(error))
            self.note(time.time(), first_line(error))
        if self.orders.draining and now - self.failing_since > PATIENCE_S:
            return True
        self.orders.wait(self.pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self.pause = min(self.pause * 2, 30.0)
        return False

    def recover(self) -> None:
        """Note that MLflow answers."""
        if self.failing_since is not None:
            logger.warning("delivering again")
            self.failing_since, self.pause = None, 1.0
            self.note(None, None)

    def note(self, since: float | None, error: str | None) -> None:
        """Tell the driver, and whoever looks at the job, whether MLflow answers."""
        with suppress(*DATABASE_AWAY), self.store.session() as session:
            session.execute(
                update(Job)
                .where(Job.id == self.job_id, Job.lease_owner == self.owner)
                .values(mlflow_away_since=since, mlflow_error=error)
            )


def deliver(job_id: str, owner: str) -> int:
    """Run the process; 0 when all was delivered, 1 when something waits.

    Args:
        job_id: whose journal.
        owner: of its lease.
    """
    write_json(logging.WARNING, job=job_id)
    home = Home.from_environment()
    store = Store(home.database_url)
    orders = Orders(sys.stdin.readline)

    def connect() -> Delivery:
        with store.session() as session:
            name = session.get_one(Job, job_id).name
        return Delivery(store, job_id, owner, Tracking(home, job_id, name))

    rounds = Rounds(store, job_id, owner, connect, orders)
    rounds.note(None, None)  # what an earlier process found may no longer be so
    try:
        return 0 if rounds.run() else 1
    except LeaseLostError:
        return 1
