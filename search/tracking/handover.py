"""What one job hands over to MLflow; every step may be repeated and changes nothing then."""

import json
import logging
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Any

import requests
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from search.common.home import Home
from search.database.lease import LeaseLostError
from search.database.outbox import read_epoch
from search.database.store import Store, StoreError
from search.database.tables import PARENT, UNTOLD, Job, JournalRow, Run, RunKey
from search.tracking.tracking import NewRun, Status, Tracking

logger = logging.getLogger("gatetune.delivery")

ROWS = 2000
"""Journal rows taken at once; bounds memory."""

CREATED = 50
"""Runs that are created before their ids are written down."""

SENDERS = 2
"""Threads that tell MLflow of different runs: while one waits for the server, one prepares."""

TROUBLE = (MlflowException, requests.RequestException, OSError, SQLAlchemyError, sqlite3.Error)
"""What MLflow raises when its server is away, or its own file cannot be used."""

VERIFICATIONS = 3
"""Times that what MLflow shows is looked at and mended before a job ends."""


@dataclass
class Parcel:
    """What MLflow is told of one run at once."""

    new: Run | None = None
    """The run, where MLflow does not know yet what it is made of."""
    metrics: list[Metric] = field(default_factory=list)
    ended: Run | None = None
    """The run, where its status has changed."""


@dataclass
class Delivery:
    """Carries what one job has to say to MLflow, on behalf of the lease's owner.

    The run of a trial is the one whose id stands in our database: it is written there before
    anything is sent, so that of two runs, which a repeated request may make, one stays empty.

    Raises from every method: `LeaseLostError` once another driver owns the job.
    """

    store: Store
    job_id: str
    owner: str
    tracking: Tracking
    known: dict[RunKey, str] = field(default_factory=dict)
    described: set[RunKey] = field(default_factory=set)
    """Runs that were told what they are made of: once, although their status may follow later."""

    def start(self) -> None:
        """Learn which runs MLflow has, and make database and MLflow agree on them.

        Where MLflow lost a run, or a person deleted it, all of its trial is delivered again.
        """
        existing = self.tracking.existing()
        with self.session() as session:
            rows = session.scalars(select(Run).where(Run.job_id == self.job_id)).all()
            for row in rows:
                key = row.key
                ids = [run.info.run_id for run in existing.get(key, [])]
                if row.run_id is not None and row.run_id not in ids:
                    self.forget(session, row)
                row.run_id = row.run_id or next(iter(ids), None)
                if row.run_id is not None:
                    self.known[key] = row.run_id
        self.delete_doubles(existing)

    def delete_doubles(self, existing: dict[RunKey, list[MlflowRun]]) -> int:
        """Delete the runs of a trial that are not the one in our database; return how many."""
        doubles = [
            run.info.run_id
            for key, runs in existing.items()
            for run in runs
            if key in self.known and run.info.run_id != self.known[key]
        ]
        for run_id in doubles:
            self.tracking.delete(run_id)
        return len(doubles)

    @classmethod
    def forget(cls, session: Session, row: Run) -> None:
        """Note that MLflow has nothing of a trial, not even its run."""
        row.run_id = None
        cls.send_again(session, row)

    @staticmethod
    def send_again(session: Session, row: Run) -> None:
        """Let all of a trial be delivered again; what MLflow has already stays as it is."""
        row.delivered = None
        session.execute(
            update(JournalRow)
            .where(JournalRow.study == row.study, JournalRow.trial == row.trial)
            .values(delivered=False)
        )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session that can only commit while our driver owns the job."""
        with self.store.session() as session:
            ours = update(Job).where(Job.id == self.job_id, Job.lease_owner == self.owner)
            done: Any = session.execute(ours.values(lease_owner=self.owner))
            if done.rowcount != 1:
                raise LeaseLostError(f"job {self.job_id} was taken over by another driver")
            yield session

    def deliver(self) -> int:
        """Deliver one batch; return how many rows it held.

        Statuses are read before the journal, and a trial's status is written after its last
        epoch, so a status that is delivered here never overtakes a metric. Of a full batch, the
        last trial's further epochs and those of later trials are not known yet.
        """
        runs, rows = self.waiting()
        if not runs and not rows:
            return 0
        with self.session():
            pass  # nothing is sent for a job that is another's
        self.create_runs(runs)
        is_full = len(rows) == ROWS
        ended = [run for run in runs if not is_full or run.trial < rows[-1].trial]
        sent = self.send(rows, runs, ended)
        self.mark(sent, ended)
        return len(sent) + len(ended)

    def waiting(self) -> tuple[Sequence[Run], Sequence[JournalRow]]:
        """Return runs and epochs that MLflow does not have yet, those of a trial side by side."""
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
                .order_by(JournalRow.trial, JournalRow.epoch)
                .limit(ROWS)
            ).all()
        return runs, rows

    def send(
        self, rows: Sequence[JournalRow], runs: Sequence[Run], ended: Sequence[Run]
    ) -> list[JournalRow]:
        """Tell MLflow what there is of each run, of several at once; return the rows that it has.

        Args:
            rows: epochs.
            runs: which are described if they are new.
            ended: those of them whose status is told.
        """
        parcels: dict[RunKey, Parcel] = defaultdict(Parcel)
        for run in runs:
            if run.delivered is None and run.key not in self.described:
                parcels[run.key].new = run
        for run in ended:
            if run.delivered is not None or run.status != "RUNNING":  # a new run is running
                parcels[run.key].ended = run
        sent: list[JournalRow] = []
        for row in rows:
            if row.key in self.known and (metrics := metrics_of(row)) is not None:
                parcels[row.key].metrics.extend(metrics)
                sent.append(row)
        with ThreadPoolExecutor(SENDERS) as senders:
            for _ in senders.map(self.tell, parcels, parcels.values()):
                pass  # raises what went wrong
        return sent

    def tell(self, key: RunKey, parcel: Parcel) -> None:
        """Tell MLflow of one run what it is made of, its metrics, and at last its status."""
        run_id, new, ended = self.known[key], parcel.new, parcel.ended
        if ended is not None and ended.delivered not in {None, UNTOLD}:
            self.tracking.clear_outcome(run_id)
        self.tracking.log(
            run_id,
            parcel.metrics,
            json.loads(new.parameters) if new is not None else {},
            status_of(ended).tags if ended is not None else {},
        )
        if new is not None:
            if new.trial == PARENT:
                self.describe_parent(run_id)
            self.described.add(key)
        if ended is not None:
            if ended.reason:
                self.tracking.client.log_text(run_id, ended.reason, "traceback.txt")
            self.tracking.set_status(run_id, status_of(ended))

    def verify(self) -> int:
        """Look at MLflow's runs once all is delivered; mend and return what is not as told.

        A request that was given up may be carried out all the same, later than the next one.
        """
        existing = self.tracking.existing()
        with self.session() as session:
            rows = session.scalars(
                select(Run).where(Run.job_id == self.job_id, ~Run.is_undelivered)
            ).all()
        mended = self.delete_doubles(existing)
        for row in rows:
            key = row.key
            shown = next(
                (r for r in existing.get(key, []) if r.info.run_id == self.known.get(key)), None
            )
            if shown is not None and not status_of(row).fits(shown):
                self.tracking.clear_outcome(shown.info.run_id)
                self.tell(key, Parcel(ended=row))
                mended += 1
        return mended

    def recall(self) -> None:
        """Take from the database which runs MLflow has, once a drain has made sure of it."""
        with self.store.session() as session:
            rows = session.scalars(select(Run).where(Run.job_id == self.job_id)).all()
        self.known = {row.key: row.run_id for row in rows if row.run_id is not None}

    def finish(self) -> None:
        """Deliver all there is, and look at what MLflow shows then."""
        self.start()
        for _ in range(VERIFICATIONS):
            while self.deliver():
                pass
            if not self.verify():
                return

    def create_runs(self, runs: Sequence[Run]) -> None:
        """Create the MLflow runs that are missing, and write down that they are the ones."""
        new = [run for run in runs if run.key not in self.known]
        parent, others = new[:1], new[1:]
        if parent and parent[0].trial != PARENT:
            parent, others = [], new
        groups = [others[start : start + CREATED] for start in range(0, len(others), CREATED)]
        for group in (parent, *groups):  # the parent comes first: the others name it
            with ThreadPoolExecutor(SENDERS) as senders:
                made = zip(group, senders.map(self.create, group), strict=True)
                ids = {run.key: run_id for run, run_id in made}
            with self.session() as session:
                for key, run_id in ids.items():
                    session.get_one(Run, key).run_id = run_id
            self.known.update(ids)

    def create(self, run: Run) -> str:
        """Create the MLflow run of a trial and return its id."""
        parent_id = None if run.trial == PARENT else self.known[self.job_id, PARENT]
        return self.tracking.create(NewRun(run.key, run.name, run.started_ms, parent_id))

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
            self.tracking.log_dataset(run_id, job.data, profile=job.dataset)

    def mark(self, rows: Sequence[JournalRow], runs: Sequence[Run]) -> None:
        """Remember what MLflow has."""
        with self.session() as session:
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
                            "delivered": r.told,
                        }
                        for r in runs
                    ],
                )


def status_of(run: Run) -> Status:
    """Return how MLflow should show a run."""
    return Status(run.status, run.tag, run.attempts, run.ended_ms, run.precision)


def metrics_of(row: JournalRow) -> list[Metric] | None:
    """Return an epoch's metrics with its own timestamp, so that a repeat is the same.

    None where the row is damaged: it waits, and `gatetune doctor` names it.
    """
    try:
        metrics, _, _ = read_epoch(row)
    except StoreError as error:
        logger.warning("%s", error)
        return None
    return [
        Metric(name, value, row.time_ms, row.epoch)
        for name, value in metrics.items()
        if not math.isinf(value)
    ]


def packages() -> str:
    """Return the installed packages, one ``name==version`` a line."""
    names = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "\n".join(sorted(names, key=str.lower)) + "\n"


def deliver_rest(home: Home, store: Store, job_id: str, owner: str) -> None:
    """Deliver in this process what a job still has to say after its delivery has drained."""
    with store.session() as session:
        name = session.get_one(Job, job_id).name
    delivery = Delivery(store, job_id, owner, Tracking(home, job_id, name))
    delivery.recall()
    while delivery.deliver():
        pass
