"""The process that runs one job: search, confirmation, champion, delivery."""

import errno
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import FrozenTrial
from sqlalchemy import update

from search.champion import Result, choose, replicates
from search.cluster import sweep
from search.courier import Courier
from search.document import flatten
from search.engine import Engine, Interrupted, UnworkableError
from search.home import Home
from search.lease import Lease, LeaseLostError
from search.progress import Progress
from search.retention import delete, unreferenced_of_job
from search.signals import Stop
from search.spec import JobSpec
from search.storage import DATABASE_AWAY, trials_of
from search.store import (
    PARENT,
    DatabaseAwayError,
    Job,
    Run,
    Store,
    first_line,
    undelivered,
)
from search.study import JobStudy
from search.trial import SHOWN_OF_JOB, Proposal, last_line
from trainables.checkpoint import DamagedError
from trainables.datasets import SequenceDataset
from trainables.trial import RecurrentTrial

CHECK_S = 1.0
"""How often a driver looks whether it was asked to stop, and writes how long it has run."""

DATABASE_PATIENCE_S = 300.0
"""How long a driver waits for a database that went away."""

TRIES = 5
"""Times in a row that a step may fail soon after it began, as if the database went away."""

CALM_S = 60.0
"""How long a step must have gone well to have all of its tries again."""

Outcome = tuple[str, str | None]
"""The status that a job ends with, and why in a sentence."""

T = TypeVar("T")


class Driver:
    """Runs one job to its end, from wherever it stands.

    Args:
        home: the installation.
        store: its database.
        lease: this process's ownership of the job, which whoever took it gives back.
        spec: its document.
        data: its data set; None for a job whose champion is chosen, which only needs delivery.
        progress: who is told.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the job
        self,
        home: Home,
        store: Store,
        lease: Lease,
        spec: JobSpec,
        data: SequenceDataset | None,
        progress: Progress,
    ) -> None:
        self.home = home
        self.store = store
        self.lease = lease
        self.job_id = lease.job_id
        self.spec = spec
        self.data = data
        self.progress = progress
        self.stop = Stop()
        self.courier: Courier | None = None
        self.began = time.time()
        self.elapsed_before = 0.0
        self.next_check = 0.0
        self.mlflow_away = False

    def run(self) -> str:
        """Run the job and return the status that it ended with: finished, stopped or failed.

        Raises:
            LeaseLostError: another driver took the job over; nothing more was written.
            DatabaseAwayError: the database stayed away; `resume` goes on.
        """
        with self.stop.on_signals():
            self.begin()
            self.courier = Courier(self.home, self.job_id, self.lease.owner)
            try:
                status, message = self.work()
                return self.conclude(self.courier, status, message)
            except BaseException as error:
                self.courier.abandon()
                if not isinstance(error, (LeaseLostError, *DATABASE_AWAY)):
                    self.tell_parent("failed")
                    self.end("failed", first_line(error))
                raise

    def work(self) -> Outcome:
        """Search, confirm and choose, unless that is done; return how the job ends."""
        if self.data is None:
            return "finished", self.patiently(self.message)
        try:
            return self.choose(self.data)
        except Interrupted:
            return "stopped", f"interrupted; `gatetune resume {self.job_id}` goes on"
        except UnworkableError as error:
            return "failed", f"{error}; `gatetune resume {self.job_id}` goes on"
        except DamagedError as error:
            return "failed", f"{error}: the winner cannot be saved, the job has to be launched anew"
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return "failed", (
                f"the disk of {error.filename or self.folder} is full; nothing is lost: make room, "
                f"and `gatetune resume {self.job_id}` goes on"
            )

    def choose(self, data: SequenceDataset) -> Outcome:
        """Search, confirm and choose."""
        searched = self.run_study("searching", self.job_id, self.baselines(), data)
        again = replicates(searched, self.spec) if self.spec.confirm.top else []
        confirmed = (
            self.run_study("confirming", f"{self.job_id}/confirm", again, data) if again else []
        )
        result = choose(self.spec, self.job_id, searched, confirmed)
        if result is None:
            reasons = [t.user_attrs["reason"] for t in searched if "reason" in t.user_attrs]
            why = f"; the last one failed with: {last_line(reasons[-1])}" if reasons else ""
            return "failed", f"no trial completed{why}; `gatetune trials` shows how each one ended"
        self.progress.stage("measuring and exporting the winner")
        self.halt_if_asked()
        self.save(result, data)
        self.halt_if_asked()
        return "finished", self.patiently(self.message)

    def conclude(self, courier: Courier, status: str, message: str | None) -> str:
        """Deliver what is left, and write how the job ended; its own status comes last.

        A driver that dies on the way leaves a job that the next one concludes.
        """
        self.patiently(self.clear_up)
        self.progress.stage("delivering to MLflow")
        missing = None if courier.drain() else "not all reached MLflow"
        if status == "finished" and missing is None:
            missing = self.patiently(lambda: self.reach_mlflow(self.publish))
        self.patiently(lambda: self.tell_parent(status))
        if missing is None:
            missing = self.patiently(lambda: self.reach_mlflow(self.deliver_rest))
        waiting = self.patiently(lambda: undelivered(self.store, self.job_id))
        self.patiently(lambda: self.end(status, message))
        if missing is not None:
            self.progress.line(
                f"{missing}: {waiting} records wait in the journal; the next `gatetune up` or "
                f"`gatetune doctor {self.job_id} --repair` delivers them"
            )
        return status

    def clear_up(self) -> None:
        """Delete what the job needs no more, of this driver and of any that was killed."""
        sweep()
        shutil.rmtree(self.scratch, ignore_errors=True)
        with self.store.session() as session:
            chosen = session.get_one(Job, self.job_id).result is not None
        searched, confirmed = trials_of(self.store, self.job_id)
        delete(unreferenced_of_job(self.folder, self.spec, searched, confirmed, chosen=chosen))

    def baselines(self) -> list[Proposal]:
        """Return the trials that come first."""
        return [
            Proposal(parameters, overrides, attrs={"baseline": True})
            for parameters, overrides in self.spec.baselines()
        ]

    def run_study(
        self, stage: str, name: str, fixed: list[Proposal], data: SequenceDataset
    ) -> list[FrozenTrial]:
        """Run a study to its end and return its trials.

        Where the database went away, the study is read again and goes on from there.
        """
        return self.patiently(lambda: self.go_on_with(stage, name, fixed, data))

    def go_on_with(
        self, stage: str, name: str, fixed: list[Proposal], data: SequenceDataset
    ) -> list[FrozenTrial]:
        """Run a study from where the database says that it stands."""
        searching = name == self.job_id
        study = JobStudy(
            self.store,
            self.lease,
            self.spec,
            name=name,
            fixed=fixed,
            trials=self.spec.budget.trials if searching else len(fixed),
            searching=searching,
        )
        try:
            self.progress.stage(stage, study)
            Engine(
                study,
                trainable=RecurrentTrial,
                data=data,
                checkpoints=self.folder / ("search" if searching else "confirm"),
                scratch=self.scratch,
                observer=self.progress,
                should_stop=self.should_stop,
                elapsed_s=self.elapsed_s,
            ).run()
            if study.closed is not None:
                self.progress.line(CLOSED[study.closed])
                self.set(closed=study.closed)
            return study.storage.optuna.get_all_trials(study.study_id)
        finally:
            study.shut()

    def save(self, result: Result, data: SequenceDataset) -> None:
        """Measure the result on the test part and write the champion's files."""
        from search.models import measure, save_champion  # torch takes seconds to import

        result = measure(result, self.spec, data, self.folder)
        save_champion(result, self.spec, self.job_id, data, self.folder)
        self.patiently(lambda: self.set(result=result.model_dump_json()))

    def publish(self) -> None:
        """Register the champion and give the parent run its report."""
        from search.registry import publish

        self.progress.stage("registering the model")
        model = publish(self.home, self.store, self.job_id)
        self.patiently(lambda: self.set(model=json.dumps(model)))

    def deliver_rest(self) -> None:
        """Deliver what was written after the drain: the parent's status."""
        from search.handover import deliver_rest

        deliver_rest(self.home, self.store, self.job_id, self.lease.owner)

    @staticmethod
    def reach_mlflow(step: Callable[[], None]) -> str | None:
        """Do a step in MLflow that may be done again later; return why it could not be done."""
        from search.handover import TROUBLE

        try:
            step()
        except TROUBLE as error:
            return f"not all reached MLflow ({first_line(error)})"
        return None

    def patiently(self, step: Callable[[], T]) -> T:
        """Do a step that may be repeated; where the database went away, wait and do it again.

        Raises:
            DatabaseAwayError: it stayed away.
        """
        tries = TRIES
        while True:
            began = time.monotonic()
            try:
                return step()
            except DATABASE_AWAY as error:
                # What fails at once, over and over, is no outage; one a day is.
                tries = tries - 1 if time.monotonic() - began < CALM_S else TRIES
                if not tries:
                    raise self.away(error) from error
                self.await_database(error)

    def await_database(self, error: BaseException) -> None:
        """Wait until the database answers, while the lease is still ours."""
        self.progress.line(f"the database does not answer, waiting: {first_line(error)}")
        deadline = time.monotonic() + DATABASE_PATIENCE_S
        while True:
            self.store.engine.dispose()
            try:
                with self.lease.session():
                    self.progress.line("the database answers again")
                    return
            except DATABASE_AWAY as again:
                if self.stop.requested or time.monotonic() > deadline:
                    raise self.away(again) from again
                time.sleep(0.5)

    def away(self, error: BaseException) -> DatabaseAwayError:
        """Return what to tell a person whose database stayed away."""
        return DatabaseAwayError(
            f"the database does not answer ({first_line(error)}); nothing is lost, "
            f"`gatetune resume {self.job_id}` goes on"
        )

    # -- the job's row and folders -------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of the job's checkpoints and champion."""
        return self.home.checkpoints / self.job_id

    @property
    def scratch(self) -> Path:
        """Folder that only a running driver needs."""
        return self.home.path / "scratch" / self.job_id

    def set(self, **values: Any) -> None:
        """Change the job's row."""
        with self.lease.session() as session:
            session.execute(update(Job).where(Job.id == self.job_id).values(**values))

    def message(self) -> str | None:
        """Return why the search ended before its budget of trials was spent, if so."""
        with self.store.session() as session:
            closed = session.get_one(Job, self.job_id).closed
        return None if closed is None else CLOSED[closed]

    def begin(self) -> None:
        """Mark the job as running, and its parent run too."""
        with self.lease.session() as session:
            job = session.get_one(Job, self.job_id)
            self.elapsed_before = job.elapsed_s
            job.status, job.message = "running", None
            job.started_at = job.started_at or self.began
            job.ended_at = None
            parent = session.get(Run, (self.job_id, PARENT))
            if parent is None:
                session.add(
                    Run(
                        study=self.job_id,
                        trial=PARENT,
                        job_id=self.job_id,
                        name=self.job_id,
                        parameters=json.dumps(flatten(json.loads(job.document))),
                        status="RUNNING",
                        started_ms=int(self.began * 1000),
                    )
                )
            else:
                parent.status, parent.tag, parent.ended_ms = "RUNNING", None, None

    def end(self, status: str, message: str | None) -> None:
        """Write how the job ended."""
        self.set(status=status, message=message, ended_at=time.time(), elapsed_s=self.elapsed_s())

    def tell_parent(self, status: str) -> None:
        """Set what the parent run should show."""
        shown, tag = SHOWN_OF_JOB[status]
        with self.lease.session() as session:
            session.execute(
                update(Run)
                .where(Run.study == self.job_id, Run.trial == PARENT)
                .values(status=shown, tag=tag, ended_ms=int(time.time() * 1000))
            )

    def elapsed_s(self) -> float:
        """Return the seconds that all drivers of this job have run."""
        return self.elapsed_before + time.time() - self.began

    def halt_if_asked(self) -> None:
        """End between two stages if a stop was asked for."""
        self.next_check = 0.0
        if self.patiently(self.should_stop):
            raise Interrupted

    def should_stop(self) -> bool:
        """Whether a signal or `gatetune stop` asked for an end.

        Raises:
            LeaseLostError: another driver owns the job, so this one ends.
        """
        now = time.monotonic()
        if now >= self.next_check:
            self.next_check = now + CHECK_S
            with self.lease.session() as session:
                job = session.get_one(Job, self.job_id)
                job.elapsed_s = self.elapsed_s()
                self.stop.requested = self.stop.requested or job.stop_requested
                away = job.mlflow_error if job.mlflow_away_since else None
            self.look_after_delivery(away)
        return self.stop.requested

    def look_after_delivery(self, away: str | None) -> None:
        """Keep the delivery process running, and say when MLflow goes away or comes back."""
        if self.courier is not None:
            self.courier.keep()
        if (away is not None) == self.mlflow_away:
            return
        self.mlflow_away = away is not None
        self.progress.line(
            "MLflow answers again, what waited is being delivered"
            if away is None
            else f"MLflow does not answer, metrics wait in the journal, training goes on: {away}"
        )


CLOSED = {
    "hours": "the hours of the budget are spent",
    "target": "the target is reached",
    "exhausted": "every configuration of the space has been tried",
}
