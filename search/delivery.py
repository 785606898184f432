"""A process beside the driver that carries the journal to MLflow, so that training never waits.

Started as ``python -m search.delivery JOB``. It delivers until its standard input says ``drain``
(deliver the rest, then end) or closes (the driver is gone: end at once; the next one goes on).
"""

import json
import logging
import math
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import distributions

import requests
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sqlalchemy import select, update

from search.home import Home
from search.store import PARENT, Job, JournalRow, Run, Store
from search.tracking import NewRun, RunKey, Tracking

logger = logging.getLogger("gatetune.delivery")

ROWS = 2000
"""Journal rows taken at once; bounds memory."""

IDLE_S = 0.3
"""Pause when there is nothing to deliver."""

PATIENCE_S = 30.0
"""How long a drain goes on trying while MLflow does not answer."""

TROUBLE = (MlflowException, requests.RequestException, OSError)
"""What MLflow's client raises when the server is away."""


@dataclass
class Delivery:
    """Carries what one job has to say to MLflow."""

    store: Store
    job_id: str
    tracking: Tracking
    known: dict[RunKey, str] = field(default_factory=dict)

    def start(self) -> None:
        """Learn which runs MLflow has already, whoever made them."""
        self.known = self.tracking.existing()

    def deliver(self) -> int:
        """Deliver one batch; return how many rows it held.

        Statuses are read before the journal, and a trial's status is written after its last
        epoch, so a status that is delivered here never overtakes a metric.
        """
        with self.store.session() as session:
            runs = session.scalars(
                select(Run)
                .where(Run.job_id == self.job_id, Run.is_undelivered)
                .order_by(Run.trial, Run.study)
                .limit(ROWS)
            ).all()
            rows = session.scalars(
                select(JournalRow)
                .where(JournalRow.job_id == self.job_id, JournalRow.delivered.is_(False))
                .order_by(JournalRow.time_ms)
                .limit(ROWS)
            ).all()
        for run in runs:
            self.ensure_run(run)
        by_run: dict[RunKey, list[JournalRow]] = {}
        for row in rows:
            by_run.setdefault((row.study, row.trial), []).append(row)
        for key, epochs in by_run.items():
            if key in self.known:
                self.tracking.log_metrics(self.known[key], metrics_of(epochs))
        full = len(rows) == ROWS
        ended = [] if full else list(runs)
        for run in ended:
            self.tell_status(run)
        self.mark([row for row in rows if (row.study, row.trial) in self.known], ended)
        return len(rows) + len(ended)

    def ensure_run(self, run: Run) -> None:
        """Create the MLflow run of a trial unless it exists, and describe the parent's."""
        if (run.study, run.trial) not in self.known:
            self.create_run(run)
        if run.trial == PARENT and run.delivered is None:
            self.describe_parent(self.known[(run.study, run.trial)])

    def create_run(self, run: Run) -> None:
        """Create the MLflow run of a trial."""
        key = (run.study, run.trial)
        new = NewRun(
            key=key,
            name=run.name,
            started_ms=run.started_ms,
            parameters=json.loads(run.parameters),
            parent_id=None if run.trial == PARENT else self.known[(self.job_id, PARENT)],
            tags={},
        )
        try:
            self.known[key] = self.tracking.create(new)
        except TROUBLE:
            # The request may have gone through all the same: look before the next try.
            self.known = {}
            raise

    def describe_parent(self, run_id: str) -> None:
        """Attach what the job was made of: document, packages, commit, data; may be repeated."""
        with self.store.session() as session:
            job = session.get_one(Job, self.job_id)
        client = self.tracking.client
        client.log_text(run_id, job.source, "job.yaml")
        client.log_text(run_id, packages(), "packages.txt")
        if job.commit:
            client.set_tag(run_id, "mlflow.source.git.commit", job.commit)
            client.log_text(run_id, job.commit + "\n", "commit.txt")
        if job.dataset:
            self.tracking.log_dataset(run_id, json.loads(job.dataset), profile=job.dataset)

    def tell_status(self, run: Run) -> None:
        """Give MLflow a run's status, and the reason where it failed."""
        run_id = self.known[(run.study, run.trial)]
        if run.delivered is None and run.status == "RUNNING":
            return  # a new run is running
        if run.reason:
            self.tracking.client.log_text(run_id, run.reason, "traceback.txt")
        self.tracking.set_status(run_id, run.status, run.tag, run.ended_ms)

    def mark(self, rows: list[JournalRow], runs: list[Run]) -> None:
        """Remember what MLflow has."""
        with self.store.session() as session:
            if rows:
                session.execute(
                    update(JournalRow),
                    [
                        {"study": r.study, "trial": r.trial, "epoch": r.epoch, "delivered": True}
                        for r in rows
                    ],
                )
            if runs:
                session.execute(
                    update(Run),
                    [
                        {
                            "study": r.study,
                            "trial": r.trial,
                            "run_id": self.known[(r.study, r.trial)],
                            "delivered": r.told,
                        }
                        for r in runs
                    ],
                )


def metrics_of(rows: list[JournalRow]) -> list[Metric]:
    """Return the metrics of journal rows, with the rows' own timestamps: a repeat is the same."""
    return [
        Metric(name, value, row.time_ms, row.epoch)
        for row in rows
        for name, value in json.loads(row.metrics).items()
        if not math.isinf(value)
    ]


def packages() -> str:
    """Return the installed packages, one ``name==version`` a line."""
    names = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "\n".join(sorted(names, key=str.lower)) + "\n"


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


def run(connect: Callable[[], Delivery], orders: Orders) -> bool:
    """Deliver until told to end; return whether everything arrived."""
    delivery: Delivery | None = None
    failing_since: float | None = None
    pause = 1.0
    while not orders.abandoned:
        try:
            if delivery is None:
                delivery = connect()
                delivery.start()
            moved = delivery.deliver()
        except TROUBLE as error:
            delivery = None
            now = time.monotonic()
            failing_since = failing_since or now
            logger.warning("MLflow does not answer, metrics wait in the journal: %s", error)
            if orders.draining and now - failing_since > PATIENCE_S:
                return False
            orders.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, 30.0)
            continue
        failing_since, pause = None, 1.0
        if moved == 0:
            if orders.draining:
                return True
            orders.wait(IDLE_S)
    return False


def main() -> int:
    """Run the process; 0 when all was delivered, 1 when something waits."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    os.nice(5)  # metrics can wait; the workers share these processors
    job_id = sys.argv[1]
    home = Home.from_environment()
    store = Store(home.database_url)
    with store.session() as session:
        name = session.get_one(Job, job_id).name
    orders = Orders(sys.stdin.readline)
    arrived = run(lambda: Delivery(store, job_id, Tracking(home, job_id, name)), orders)
    return 0 if arrived else 1


if __name__ == "__main__":
    sys.exit(main())
