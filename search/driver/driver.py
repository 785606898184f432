"""The process that runs one job: search, confirmation, champion, delivery."""

import errno
import json
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from search.common.background import in_background
from search.common.home import Home
from search.common.signals import Interrupted, Stop
from search.common.texts import first_line
from search.common.trial import Proposal
from search.database.jobrow import CLOSED, JobRow
from search.database.lease import Lease, LeaseLostError
from search.database.result import NotFiniteError, Result
from search.database.storage import DATABASE_AWAY, both_studies
from search.database.store import Store, undelivered
from search.database.tables import Job, confirmation
from search.document.spec import JobSpec
from search.driver.engine import Engine, UnworkableError
from search.driver.packing import Packing
from search.driver.patience import Patience
from search.driver.progress import Progress
from search.driver.shares import whole
from search.driver.stage import Stage
from search.jobs.loading import describe_data
from search.study.champion import choose, nothing_completed, replicates
from search.study.cost import Cost, Sizes
from search.study.forecast import Forecast
from search.study.retention import delete, unreferenced_of_job
from search.study.study import JobStudy
from search.study.warming import taken_over
from search.tracking.courier import Courier
from trainables.datasets import SequenceDataset
from trainables.folder import DamagedError, FolderError
from trainables.trial import RecurrentTrial, Shared

CHECK_S = 1.0
"""How often a driver looks whether it was asked to stop, and writes how long it has run."""

HEAD_START_S = 15.0
"""How long a job has run when its delivery begins, unless there is an epoch before: until then the
workers import what they need, and it takes as long to import MLflow."""

Outcome = tuple[str, str | None]
"""The status that a job ends with, and why in a sentence."""


class Driver:
    """Runs one job to its end, from wherever it stands.

    Args:
        home: the installation.
        store: its database.
        lease: this process's ownership of the job, which whoever took it gives back.
        spec: its document.
        data: its data set; None for a job whose champion is chosen, which only needs delivery.
        progress: who is told.
        share: of the Ray that it runs on, where other jobs run there, too.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the job
        self,
        home: Home,
        store: Store,
        lease: Lease,
        spec: JobSpec,
        data: Shared | None,
        progress: Progress,
        share: Callable[[int, int, int], int] = whole,
    ) -> None:
        self.home = home
        self.store = store
        self.lease = lease
        self.job_id = lease.job_id
        self.spec = spec
        self.data = data
        self.cost: Cost | None = None
        """What epochs take, learned in the search and known in the confirmation."""
        self.packing: Packing | None = None
        """What trials get of their nodes, likewise."""
        self.progress = progress
        self.share = share
        self.stop = Stop()
        self.courier: Courier | None = None
        self.importing: Future[None] | None = None
        """Imports what the end of the job takes."""
        self.row = JobRow(lease)
        self.folder = home.folder(self.job_id)
        """Of the job's checkpoints and champion."""
        self.patiently = Patience(lease, self.folder, progress, self.stop, self.halt_if_asked)
        self.next_check = 0.0
        self.mlflow_away = False

    def run(self) -> str:
        """Run the job and return the status that it ended with: finished, stopped or failed.

        Raises:
            LeaseLostError: another driver took the job over; nothing more was written.
            DatabaseAwayError: the database stayed away; `resume` goes on.
        """
        with self.stop.on_signals():
            self.row.begin()
            try:
                status, message = self.work()
                return self.conclude(status, message)
            except BaseException as error:
                if self.courier is not None:
                    self.courier.abandon()
                if not isinstance(error, (LeaseLostError, *DATABASE_AWAY)):
                    status, message = self.broken_off(error)
                    self.row.tell_parent(status)
                    self.row.end(status, message)
                raise

    def work(self) -> Outcome:
        """Search, confirm and choose, unless that is done; return how the job ends."""
        if self.data is None:
            return "finished", self.patiently(self.row.message)
        try:
            return self.choose(self.data)
        except Interrupted:
            return self.interrupted()
        except (UnworkableError, FolderError) as error:
            return "failed", f"{error}; `gatetune resume {self.job_id}` goes on"
        except (DamagedError, NotFiniteError) as error:
            return "failed", f"{error}: the winner cannot be saved, the job has to be launched anew"
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            return "failed", (
                f"the disk of {error.filename or self.folder} is full; nothing is lost: make room, "
                f"and `gatetune resume {self.job_id}` goes on"
            )

    def interrupted(self) -> Outcome:
        """Return how a job ends that was interrupted; one of a queue, unasked, goes back to it."""
        if self.row.is_wanted():
            return "queued", "its driver was ended, it goes on when the queue comes to it"
        return "stopped", f"interrupted; `gatetune resume {self.job_id}` goes on"

    def broken_off(self, error: BaseException) -> Outcome:
        """Return how a job ends that an error ended; a Ray that died is no fault of the job."""
        if isinstance(error, RayError) and self.row.is_wanted():
            return "queued", "its Ray died, it goes on when the queue comes to it"
        return "failed", first_line(error)

    def choose(self, shared: Shared) -> Outcome:
        """Search, confirm and choose."""
        data = shared.data
        for note in data.notes:
            self.progress.line(f"about the data: {note}")
        self.patiently(lambda: self.run_studies(shared))
        searched, confirmed = self.patiently(lambda: both_studies(self.store, self.job_id))
        result = choose(self.spec, self.job_id, searched, confirmed)
        if result is None:
            return "failed", nothing_completed(searched, confirmed, self.spec)
        self.progress.stage("measuring and exporting the winner")
        self.await_imports()
        self.halt_if_asked()
        self.patiently(lambda: self.save(result, data))
        self.halt_if_asked()
        return "finished", self.patiently(self.row.message)

    def conclude(self, status: str, message: str | None) -> str:
        """Deliver what is left, and write how the job ended; its own status comes last.

        A driver that dies on the way leaves a job that the next one concludes.
        """
        self.patiently(self.clear_up)
        self.patiently(lambda: self.row.set(slots=None))  # delivery may last, and needs no trials
        self.progress.stage("delivering to MLflow")
        self.await_imports()
        missing = None if self.delivering().drain() else "not all reached MLflow"
        if status == "finished" and missing is None:
            missing = self.patiently(lambda: self.reach_mlflow(self.publish))
        self.patiently(lambda: self.row.tell_parent(status))
        if missing is None:
            missing = self.patiently(lambda: self.reach_mlflow(self.deliver_rest))
        waiting = self.patiently(lambda: undelivered(self.store, self.job_id))
        self.patiently(lambda: self.row.end(status, message))
        if missing is not None:
            self.progress.line(
                f"{missing}: {waiting} records wait in the journal; the next `gatetune up` or "
                f"`gatetune doctor {self.job_id} --repair` delivers them"
            )
        return status

    def clear_up(self) -> None:
        """Delete what the job needs no more, of this driver and of any that was killed."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        with self.store.session() as session:
            chosen = session.get_one(Job, self.job_id).result is not None
        searched, confirmed = both_studies(self.store, self.job_id)
        try:
            delete(unreferenced_of_job(self.folder, self.spec, searched, confirmed, chosen=chosen))
        except FolderError as error:
            self.progress.line(f"files that nothing needs are left for `gatetune doctor`: {error}")

    def baselines(self) -> list[Proposal]:
        """Return the trials that come first."""
        return [
            Proposal(parameters, overrides, attrs={"baseline": True})
            for parameters, overrides in self.spec.baselines()
        ]

    def run_studies(self, data: Shared) -> None:
        """Search and confirm, from where the database says that the job stands."""
        sizes = Sizes.of(data.data)
        self.cost = self.cost or Cost(sizes)
        self.packing = self.packing or Packing(self.spec, sizes)
        with closing(self.stages(describe_data(data.data), self.cost)) as stages:
            Engine(
                stages,
                trainable=RecurrentTrial,
                data=data,
                packing=self.packing,
                scratch=self.scratch,
                observer=self.progress,
                should_stop=self.should_stop,
                elapsed_s=self.row.elapsed_s,
                share=self.share,
            ).run()

    def stages(self, described: dict[str, Any], cost: Cost) -> Generator[Stage]:
        """Yield the search and, when it is done, the confirmation of its finalists."""
        taken = taken_over(self.row, self.spec, described)
        if taken is not None:
            self.progress.line(str(taken))
        fixed, trials = self.baselines(), self.spec.budget.trials
        with self.study(self.job_id, fixed, trials=trials, searching=True, taken=taken) as study:
            self.progress.stage("searching", Forecast(study, cost, self.row.elapsed_s))
            # Where others share the Ray, a worker without a trial would take their place.
            own = self.share is whole and self.home.ray_address is None
            keeps = self.spec.confirm.top > 0 and own
            yield Stage(
                study,
                self.folder.child("search"),
                keeps_workers=keeps,
                when_last=self.import_ahead,
            )
            if study.closed is not None:
                self.progress.line(CLOSED[study.closed])
                self.row.set(closed=study.closed)
            searched = study.storage.optuna.get_all_trials(study.study_id)
        self.import_ahead()
        again = replicates(searched, self.spec) if self.spec.confirm.top else []
        if not again:
            return
        name = confirmation(self.job_id)
        with self.study(name, again, trials=len(again), searching=False) as study:
            self.progress.stage("confirming", Forecast(study, cost, self.row.elapsed_s))
            yield Stage(study, self.folder.child("confirm"))

    def import_ahead(self) -> None:
        """Begin to import what the end of the job takes, while others train."""
        self.importing = self.importing or in_background(lambda: import_rest(self.home))

    def await_imports(self) -> None:
        """Wait until that is done: two threads that import the same may see it half done."""
        if self.importing is not None:
            self.importing.result()

    @contextmanager
    def study(self, name: str, fixed: list[Proposal], **settings: Any) -> Iterator[JobStudy]:
        """Yield a study of the job, and close it in the end."""
        study = JobStudy(self.store, self.lease, self.spec, name=name, fixed=fixed, **settings)
        try:
            yield study
        finally:
            study.shut()

    def save(self, result: Result, data: SequenceDataset) -> None:
        """Choose, measure on the test part, and write the champion's files."""
        from search.winner.comparing import compare
        from search.winner.models import save_champion
        from search.winner.packaging import strangers_to

        with strangers_to(data) as asked:
            result, answers = compare(result, self.spec, data, self.folder)
            written = result.to_json()
            save_champion(result, self.spec, self.job_id, data, self.folder, answers, asked)
        self.row.set(result=written)

    def publish(self) -> None:
        """Register the champion and give the parent run its report."""
        from search.winner.registry import publish

        self.progress.stage("registering the model")
        model = publish(self.home, self.store, self.job_id)
        self.patiently(lambda: self.row.set(model=json.dumps(model)))

    def deliver_rest(self) -> None:
        """Deliver what was written after the drain: the parent's status."""
        from search.tracking.handover import deliver_rest

        deliver_rest(self.home, self.store, self.job_id, self.lease.owner)

    def delivering(self) -> Courier:
        """Return what delivers, which is started if it was not yet."""
        if self.courier is None:
            self.courier = Courier(self.home, self.job_id, self.lease.owner)
        return self.courier

    @staticmethod
    def reach_mlflow(step: Callable[[], None]) -> str | None:
        """Do a step in MLflow that may be done again later; return why it could not be done."""
        from search.tracking.handover import TROUBLE

        try:
            step()
        except TROUBLE as error:
            return f"not all reached MLflow ({first_line(error)})"
        return None

    # -- folders, and the outside world -----------------------------------------------------------

    @property
    def scratch(self) -> Path:
        """Folder that only a running driver needs."""
        return self.home.scratch / self.job_id

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
                job.elapsed_s = self.row.elapsed_s()
                self.stop.requested = self.stop.requested or job.stop_requested
                away = job.mlflow_error if job.mlflow_away_since else None
            self.look_after_delivery(away)
        return self.stop.requested

    def look_after_delivery(self, away: str | None) -> None:
        """Keep the delivery process running, and say when MLflow goes away or comes back."""
        has_epoch = self.cost is not None and self.cost.has_learned
        if has_epoch or self.row.elapsed_s() >= HEAD_START_S:
            self.delivering().keep()
        if (away is not None) == self.mlflow_away:
            return
        self.mlflow_away = away is not None
        self.progress.line(
            "MLflow answers again, what waited is being delivered"
            if away is None
            else f"MLflow does not answer, metrics wait in the journal, training goes on: {away}"
        )


def import_rest(home: Home) -> None:
    """Import what measuring and registering the winner takes."""
    # PyTorch's compiler exports.
    for name in ("search.winner.comparing", "torch._dynamo", "search.winner.registry"):
        import_module(name)
    if home.embedded_tracking:  # which MLflow itself imports when it is first asked
        import_module("mlflow.store.tracking.sqlalchemy_store")
