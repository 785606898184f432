"""Mends what was found of a job, under its lease, so never while a driver of it lives."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial, singledispatchmethod

import requests
from mlflow.exceptions import MlflowException
from optuna.storages import RDBStorage
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from search.delivery import VERIFICATIONS
from search.doctor import steps
from search.doctor.leftovers import end_process
from search.doctor.record import UNREADABLE, Record, brief
from search.doctor.rows import rewritten
from search.fetching import champion_folder, is_whole
from search.handover import Delivery
from search.home import Home
from search.lease import Lease, LeaseLostError
from search.registry import publish, quiet
from search.retention import delete
from search.spec import JobSpec
from search.storage import DATABASE_AWAY
from search.store import PARENT, DatabaseAwayError, Job, JournalRow, Run, Store, StoreError
from search.study import JobStudy
from search.tracking import JOB_TAG, LOST_TAG, STUDY_TAG, TRIAL_TAG, Tracking

ORDER: tuple[tuple[type[steps.Step], ...], ...] = (
    (steps.EndProcess, steps.DropLease, steps.StopJob),
    (steps.Requeue, steps.RestoreEpoch),
    (steps.RewriteRow,),
    (steps.DeleteRun, steps.RenewRun, steps.FindRun),
    (steps.SendAgain,),
)
"""What is done before anything is delivered, in this order."""

AFTERWARDS: tuple[tuple[type[steps.Step], ...], ...] = (
    (steps.RestoreChampion,),
    (steps.SetTag, steps.SetVersionTag, steps.LogChampion),
    (steps.Publish,),
    (steps.SetAlias,),
    (steps.Delete,),
)
"""What is done once all is delivered."""

TO_DELIVER = (
    steps.StopJob,
    steps.Requeue,
    steps.RewriteRow,
    steps.RenewRun,
    steps.FindRun,
    steps.SendAgain,
    steps.Publish,
)
"""Steps after which something waits for MLflow."""

IN_MLFLOW = (
    *TO_DELIVER,
    steps.DeleteRun,
    steps.SetTag,
    steps.SetVersionTag,
    steps.SetAlias,
    steps.LogChampion,
)
"""Steps whose success only MLflow can show."""

FAULTS = (
    MlflowException,
    requests.RequestException,
    OSError,
    SQLAlchemyError,
    sqlite3.Error,
    StoreError,
    RuntimeError,
    *UNREADABLE,
)
"""Why a step may not succeed; the others are taken all the same."""


class Repairs:
    """The repairs of one job.

    Args:
        home: the installation.
        store: its database.
        optuna: Optuna's storage in it.
        lease: this process's ownership of the job.
    """

    def __init__(self, home: Home, store: Store, optuna: RDBStorage, lease: Lease) -> None:
        self.home = home
        self.store = store
        self.optuna = optuna
        self.lease = lease
        self.job_id = lease.job_id
        self.faults: list[str] = []
        self.opened: Tracking | None = None

    def mend(self, wanted: Iterable[steps.Step]) -> list[str]:
        """Take the steps, each at most once; return why some did not succeed.

        Raises:
            LeaseLostError: a driver took the job over.
            DatabaseAwayError: the database went away.
        """
        known = list(dict.fromkeys(wanted))
        for kinds in ORDER:
            self.take([step for step in known if isinstance(step, kinds)])
        if any(isinstance(step, TO_DELIVER) for step in known):
            self.attempt("delivering to MLflow", self.deliver)
        for kinds in AFTERWARDS:
            self.take([step for step in known if isinstance(step, kinds)])
        return self.faults

    def take(self, chosen: Iterable[steps.Step]) -> None:
        """Take some steps."""
        for step in chosen:
            self.attempt(f"{step.repair} ({type(step).__name__})", partial(self.do, step))

    def attempt(self, what: str, action: Callable[[], None]) -> None:
        """Do something, and note why it did not succeed."""
        try:
            action()
        except DATABASE_AWAY as error:
            raise DatabaseAwayError(brief(error)) from error
        except LeaseLostError:
            raise
        except FAULTS as error:
            self.faults.append(f"{what}: {brief(error)}")

    # -- MLflow --------------------------------------------------------------------------------

    @property
    def tracking(self) -> Tracking:
        """MLflow, with the job's experiment."""
        if self.opened is None:
            with self.store.session() as session:
                name = session.get_one(Job, self.job_id).name
            self.opened = Tracking(self.home, self.job_id, name)
        return self.opened

    def deliver(self) -> None:
        """Deliver what waits, and look at what MLflow shows then."""
        delivery = Delivery(self.store, self.job_id, self.lease.owner, self.tracking)
        delivery.start()
        while delivery.deliver():
            pass
        for _ in range(VERIFICATIONS):
            if not delivery.verify():
                return

    def row(self, key: steps.Key) -> Run:
        """Return what MLflow shall be told of a run."""
        with self.store.session() as session:
            return session.get_one(Run, key)

    def run_id(self, key: steps.Key) -> str:
        """Return the id of a run that MLflow has."""
        run_id = self.row(key).run_id
        if run_id is None:
            raise ValueError("its run is not delivered yet")
        return run_id

    # -- the steps -----------------------------------------------------------------------------

    @singledispatchmethod
    def do(self, step: steps.Step) -> None:
        """Take one step."""
        raise NotImplementedError(type(step).__name__)

    @do.register
    def _(self, _step: steps.DropLease) -> None:
        """Our own lease has replaced it."""

    @do.register
    def _(self, step: steps.EndProcess) -> None:
        end_process(step.pid, step.born)

    @do.register
    def _(self, _step: steps.StopJob) -> None:
        message = f"its driver died; `gatetune resume {self.job_id}` goes on"
        with self.lease.session() as session:
            session.execute(
                update(Job)
                .where(Job.id == self.job_id)
                .values(status="stopped", message=message, ended_at=time.time())
            )
            session.execute(
                update(Run)
                .where(Run.study == self.job_id, Run.trial == PARENT)
                .values(status="KILLED", tag="interrupted", ended_ms=int(time.time() * 1000))
            )

    @do.register
    def _(self, step: steps.Requeue) -> None:
        with self.store.session() as session:
            spec = JobSpec.from_json(session.get_one(Job, self.job_id).document)
        study = JobStudy(  # which requeues when it is read
            self.store, self.lease, spec, name=step.study, fixed=[], trials=0,
            searching=step.study == self.job_id,
        )  # fmt: skip
        study.shut()

    @do.register
    def _(self, step: steps.RestoreEpoch) -> None:
        with self.lease.session() as session:
            session.merge(
                JournalRow(
                    study=step.key[0],
                    trial=step.key[1],
                    epoch=step.epoch,
                    job_id=self.job_id,
                    time_ms=step.time_ms,
                    metrics=step.metrics,
                    verdict=step.verdict,
                    pruner=step.pruner,
                    delivered=True,
                )
            )

    @do.register
    def _(self, step: steps.RewriteRow) -> None:
        record = Record.read(self.store, self.optuna, self.job_id)
        row = rewritten(record, step.key)
        with self.lease.session() as session:
            session.merge(row)

    @do.register
    def _(self, step: steps.DeleteRun) -> None:
        self.tracking.client.delete_run(step.run_id)

    @do.register
    def _(self, step: steps.RenewRun) -> None:
        self.tracking.client.delete_run(step.run_id)
        with self.lease.session() as session:
            Delivery.forget(session, session.get_one(Run, step.key))

    @do.register
    def _(self, step: steps.FindRun) -> None:
        """Where MLflow does not know the run at all, the delivery makes a new one."""
        client = self.tracking.client
        try:
            run = client.get_run(step.run_id)
        except MlflowException:
            return
        if run.info.lifecycle_stage == "deleted":
            client.restore_run(step.run_id)
        client.set_tag(step.run_id, JOB_TAG, self.job_id)
        client.set_tag(step.run_id, STUDY_TAG, step.key[0])
        if step.key[1] != PARENT:
            client.set_tag(step.run_id, TRIAL_TAG, str(step.key[1]))

    @do.register
    def _(self, step: steps.SendAgain) -> None:
        study, trial = step.key
        row = self.row(step.key)
        if row.run_id is not None and row.attempts == 0:
            tags = self.tracking.client.get_run(row.run_id).data.tags
            if LOST_TAG in tags:  # which is never taken back otherwise
                self.tracking.client.delete_tag(row.run_id, LOST_TAG)
        with self.lease.session() as session:
            session.execute(
                update(Run).where(Run.study == study, Run.trial == trial).values(delivered=None)
            )
            session.execute(
                update(JournalRow)
                .where(JournalRow.study == study, JournalRow.trial == trial)
                .values(delivered=False)
            )

    @do.register
    def _(self, step: steps.SetTag) -> None:
        self.tracking.client.set_tag(step.run_id, step.tag, step.value)

    @do.register
    def _(self, _step: steps.Publish) -> None:
        model = publish(self.home, self.store, self.job_id)
        with self.lease.session() as session:
            session.execute(
                update(Job).where(Job.id == self.job_id).values(model=json.dumps(model))
            )

    @do.register
    def _(self, step: steps.SetAlias) -> None:
        with self.store.session() as session:
            name = session.get_one(Job, self.job_id).name
        self.tracking.client.set_registered_model_alias(name, step.alias, step.version)

    @do.register
    def _(self, step: steps.SetVersionTag) -> None:
        with self.store.session() as session:
            name = session.get_one(Job, self.job_id).name
        self.tracking.client.set_model_version_tag(name, step.version, step.tag, step.value)

    @do.register
    def _(self, _step: steps.LogChampion) -> None:
        folder = champion_folder(self.home, self.job_id)
        run_id = self.run_id((self.job_id, PARENT))
        if is_whole(folder):
            with quiet():
                self.tracking.client.log_artifacts(run_id, str(folder), "champion")

    @do.register
    def _(self, _step: steps.RestoreChampion) -> None:
        folder = champion_folder(self.home, self.job_id)
        scratch = folder.with_name(f".champion.{os.getpid()}.tmp")
        run_id = self.run_id((self.job_id, PARENT))
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            with quiet():
                self.tracking.client.download_artifacts(run_id, "champion", str(scratch))
            fetched = scratch / "champion"
            if is_whole(fetched):
                shutil.rmtree(folder, ignore_errors=True)
                fetched.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @do.register
    def _(self, step: steps.Delete) -> None:
        delete([step.path])
