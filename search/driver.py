"""The process that runs one job: search, confirmation, champion; and what starts and stops it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import update

from search.champion import Result, choose, replicates
from search.engine import Engine, Interrupted
from search.home import Home
from search.lease import Lease, LeaseLostError
from search.progress import Progress
from search.spec import JobSpec
from search.store import PARENT, Job, Run, Store, first_line, undelivered
from search.study import JobStudy, Proposal
from trainables.datasets import SequenceDataset
from trainables.trial import RecurrentTrial

CHECK_S = 1.0
"""How often a driver looks whether it was asked to stop, and writes how long it has run."""


class Stop:
    """Whether this process was told to stop; the second Ctrl-C ends it at once.

    A terminal that is closed sends SIGHUP, which ends a job as cleanly as SIGTERM.
    """

    def __init__(self) -> None:
        self.requested = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.requested and number == signal.SIGINT:
            # Everything is in the database already, and Ray's processes die with this one.
            os._exit(130)
        self.requested = True

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals while the block runs."""
        taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self.handle) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class DeliveryProcess:
    """The delivery of one job, as a process that outlives no driver."""

    def __init__(self, home: Home, job_id: str) -> None:
        self.home = home
        self.job_id = job_id
        self.log = home.path / "logs" / f"{job_id}-delivery.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = self.start()

    def start(self) -> "subprocess.Popen[str]":
        """Start the process, in a session of its own so that Ctrl-C does not reach it."""
        with self.log.open("a") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "search.delivery", self.job_id],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ
                | {
                    "GATETUNE_HOME": str(self.home.path),
                    "GATETUNE_DATABASE_URL": self.home.database_url,
                    "MLFLOW_TRACKING_URI": self.home.tracking_uri,
                },
            )

    def drain(self) -> bool:
        """Let the process deliver what is left and end; return whether everything arrived."""
        if self.process.poll() is not None:
            self.process = self.start()
        self.process.communicate("drain\n")
        if self.log.exists() and not self.log.stat().st_size:
            self.log.unlink()
        return self.process.returncode == 0

    def abandon(self) -> None:
        """Let the process end at once; the journal keeps what it had not delivered."""
        if self.process.poll() is None:
            self.process.communicate()


class Driver:
    """Runs one job to its end, from wherever it stands.

    Args:
        home: the installation.
        store: its database.
        job_id: the job, which this process must be able to lease.
        spec: its document.
        data: its data set.
        progress: who is told.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the job
        self,
        home: Home,
        store: Store,
        job_id: str,
        spec: JobSpec,
        data: SequenceDataset,
        progress: Progress,
    ) -> None:
        self.home = home
        self.store = store
        self.job_id = job_id
        self.spec = spec
        self.data = data
        self.progress = progress
        self.stop = Stop()
        self.began = time.time()
        self.elapsed_before = 0.0
        self.next_check = 0.0

    def run(self) -> str:
        """Run the job and return the status that it ended with: finished, stopped or failed.

        Raises:
            LeaseHeldError: another driver runs the job.
            LeaseLostError: another driver took the job over; nothing more was written.
        """
        with Lease(self.store, self.job_id) as lease, self.stop.on_signals():
            self.begin()
            delivery = DeliveryProcess(self.home, self.job_id)
            try:
                status, message = self.work(lease)
            except BaseException as error:
                delivery.abandon()
                if not isinstance(error, LeaseLostError):
                    self.end("failed", first_line(error))
                raise
            self.progress.stage("delivering to MLflow")
            arrived = delivery.drain()
            if status == "finished":
                arrived = arrived and self.reaches_mlflow(self.publish)
            self.end(status, message)
            self.tell_parent(status)
            if not (arrived and self.reaches_mlflow(self.deliver_rest)):
                self.progress.line(
                    f"MLflow did not answer: {undelivered(self.store, self.job_id)} records wait "
                    f"in the journal; `gatetune resume {self.job_id}` delivers them"
                )
            return status

    @staticmethod
    def reaches_mlflow(step: Callable[[], None]) -> bool:
        """Do a step in MLflow that may be done again later; return whether MLflow answered."""
        from search.delivery import TROUBLE

        try:
            step()
        except TROUBLE:
            return False
        return True

    def work(self, lease: Lease) -> tuple[str, str | None]:
        """Search, confirm and choose; return the status and the message that the job ends with."""
        try:
            searched = self.run_study(lease, "searching", self.job_id, self.baselines())
            confirmed = self.confirm(lease, searched)
        except Interrupted:
            return "stopped", f"interrupted; `gatetune resume {self.job_id}` goes on"
        result = choose(self.spec, self.job_id, searched, confirmed)
        if result is None:
            return "failed", "no trial completed; `gatetune trials` shows how each one ended"
        self.progress.stage("measuring and exporting the winner")
        self.save(result)
        return "finished", self.why_it_ended(searched)

    def baselines(self) -> list[Proposal]:
        """Return the trials that come first."""
        return [
            Proposal(parameters, overrides, attrs={"baseline": True})
            for parameters, overrides in self.spec.baselines()
        ]

    def run_study(
        self, lease: Lease, stage: str, name: str, fixed: list[Proposal]
    ) -> list[FrozenTrial]:
        """Run a study to its end and return its trials."""
        searching = name == self.job_id
        study = JobStudy(
            self.store,
            lease,
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
                data=self.data,
                checkpoints=self.folder / ("search" if searching else "confirm"),
                observer=self.progress,
                should_stop=self.should_stop,
                elapsed_s=self.elapsed_s,
            ).run()
            if study.closed is not None:
                self.progress.line(CLOSED[study.closed])
            return study.storage.optuna.get_all_trials(study.study_id)
        finally:
            study.shut()

    def confirm(self, lease: Lease, searched: list[FrozenTrial]) -> list[FrozenTrial]:
        """Run the finalists over several seeds; nothing where the document asks for none."""
        again = replicates(searched, self.spec) if self.spec.confirm.top else []
        if not again:
            return []
        return self.run_study(lease, "confirming", f"{self.job_id}/confirm", again)

    def save(self, result: Result) -> None:
        """Measure the result on the test part and write the champion's files."""
        from search.models import measure, save_champion  # torch takes seconds to import

        result = measure(result, self.spec, self.data, self.folder)
        save_champion(result, self.spec, self.job_id, self.data, self.folder)
        self.set(result=result.model_dump_json())

    def publish(self) -> None:
        """Register the champion and give the parent run its report."""
        from search.registry import publish

        self.progress.stage("registering the model")
        self.set(model=json.dumps(publish(self.home, self.store, self.job_id, self.folder)))

    def why_it_ended(self, searched: list[FrozenTrial]) -> str | None:
        """Return why fewer trials ran than the budget allowed, if so."""
        if len(searched) >= self.spec.budget.trials:
            return None
        return f"ended after {len(searched)} of {self.spec.budget.trials} trials"

    # -- the job's row -------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Folder of the job's checkpoints and champion."""
        return self.home.checkpoints / self.job_id

    def set(self, **values: Any) -> None:
        """Change the job's row."""
        with self.store.session() as session:
            session.execute(update(Job).where(Job.id == self.job_id).values(**values))

    def begin(self) -> None:
        """Mark the job as running, and its parent run too."""
        with self.store.session() as session:
            job = session.get_one(Job, self.job_id)
            self.elapsed_before = job.elapsed_s
            job.status, job.message, job.stop_requested = "running", None, False
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
        shown, tag = {
            "finished": ("FINISHED", None),
            "stopped": ("KILLED", "interrupted"),
            "failed": ("FAILED", "failed"),
        }[status]
        with self.store.session() as session:
            session.execute(
                update(Run)
                .where(Run.study == self.job_id, Run.trial == PARENT)
                .values(status=shown, tag=tag, ended_ms=int(time.time() * 1000))
            )

    def deliver_rest(self) -> None:
        """Deliver what was written after the drain: the parent's status."""
        from search.registry import deliver_rest

        deliver_rest(self.home, self.store, self.job_id)

    def elapsed_s(self) -> float:
        """Return the seconds that all drivers of this job have run."""
        return self.elapsed_before + time.time() - self.began

    def should_stop(self) -> bool:
        """Whether a signal or `gatetune stop` asked for an end."""
        now = time.monotonic()
        if now >= self.next_check:
            self.next_check = now + CHECK_S
            with self.store.session() as session:
                job = session.get_one(Job, self.job_id)
                job.elapsed_s = self.elapsed_s()
                self.stop.requested = self.stop.requested or job.stop_requested
        return self.stop.requested


CLOSED = {
    "hours": "the hours of the budget are spent",
    "target": "the target is reached",
    "exhausted": "every configuration of the space has been tried",
}


def flatten(document: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a document as flat parameters; lists and the space's entries stay whole."""
    flat: dict[str, str] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and prefix == "":
            flat |= flatten(value, f"{name}.")
        elif value is not None and value != []:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat
