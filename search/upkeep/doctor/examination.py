"""Looks at jobs from all sides, and says whether all agree."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import select

from search.common.home import Home
from search.database.lease import driver_is_alive
from search.database.storage import using_storage
from search.database.store import Store, StoreError, undelivered
from search.database.tables import Job
from search.driver.start import check_tracking
from search.upkeep.doctor.champion import examine_champion
from search.upkeep.doctor.epochs import examine_epochs
from search.upkeep.doctor.files import examine_files, examine_foreign
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.leftovers import examine_leftovers, names_driver
from search.upkeep.doctor.model import examine_model
from search.upkeep.doctor.record import UNREADABLE, Record, brief
from search.upkeep.doctor.restore import restoration
from search.upkeep.doctor.rows import examine_rows
from search.upkeep.doctor.shown import Shown, read_shown
from search.upkeep.doctor.study import examine_study
from search.upkeep.doctor.tracking import examine_tracking
from trainables.folder import FolderError

Watch = Callable[[str, int, int], None]
"""Told of a job how many of how many parts of MLflow have been read."""


@dataclass
class JobReport:
    """What was found about one job."""

    id: str
    status: str
    running: bool = False
    """Whether a driver lives; it is examined once that has ended."""
    findings: list[Finding] = field(default_factory=list)
    trials: int = 0
    epochs: int = 0
    runs: int = 0
    revision: int = 0
    """The job's before anything of it was read; every commit of a driver raises it."""

    @property
    def agree(self) -> bool:
        """Whether nothing is left that is not as it must be."""
        return all(finding.repaired for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report as ``doctor --json`` prints it."""
        return {
            "id": self.id,
            "status": self.status,
            "running": self.running,
            "agree": self.agree,
            "examined": {"trials": self.trials, "epochs": self.epochs, "runs": self.runs},
            "findings": [finding.as_json() for finding in self.findings],
        }


@dataclass
class Report:
    """What was found about all jobs that were asked for, and about the installation."""

    jobs: list[JobReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """About the installation, and no job of it."""

    @property
    def agree(self) -> bool:
        """Whether nothing is left that is not as it must be."""
        return all(job.agree for job in self.jobs) and all(one.repaired for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report as ``doctor --json`` prints it."""
        return {
            "agree": self.agree,
            "jobs": [job.as_json() for job in self.jobs],
            "findings": [finding.as_json() for finding in self.findings],
        }


class Examiner:
    """Examines the jobs of an installation; writes nothing.

    Args:
        home: the installation.
        store: its database.
        optuna: Optuna's storage in it.
        watch: told how far the reading of MLflow is.
    """

    def __init__(self, home: Home, store: Store, optuna: RDBStorage, watch: Watch) -> None:
        self.home = home
        self.store = store
        self.optuna = optuna
        self.watch = watch

    def examine(self, job_id: str) -> JobReport:
        """Return all that is wrong with a job."""
        report = self.running(job_id)
        while not report.running:
            self.look(report)
            # What a driver writes meanwhile, also one that has ended, would look like disagreement.
            after = self.running(job_id)
            if not after.running and after.revision == report.revision:
                break
            report = after
        return report

    def running(self, job_id: str) -> JobReport:
        """Return whether a driver of the job lives."""
        with self.store.session() as session:
            job = session.get_one(Job, job_id)
        alive = names_driver(job) and driver_is_alive(job)
        return JobReport(job_id, str(job.status), alive, revision=job.revision)

    def look(self, report: JobReport) -> None:
        """Read what there is of a job, compare it, and report it."""
        try:
            record = Record.read(self.store, self.optuna, report.id)
        except UNREADABLE as error:
            what = f"the job's document or study cannot be read: {brief(error)}"
            report.findings.append(Finding("job-damaged", "job", what))
            return
        report.trials = len(record.trials)
        report.epochs = sum(len(one) for key, one in record.journal.items() if key[1] >= 0)
        shown = self.mlflow(record, report)
        report.findings += examine_leftovers(self.home, record, time.time())
        report.findings += examine_study(record)
        report.findings += examine_epochs(record, partial(restoration, record, shown))
        report.findings += examine_rows(record)
        copied = shown is not None and "champion" in shown.artifacts
        try:
            report.findings += examine_champion(self.home, record, copied=copied)
            report.findings += examine_files(self.home, record)
        except FolderError as error:
            report.findings.append(Finding("checkpoints-unreachable", "files", brief(error)))
        if shown is not None:
            report.runs = sum(len(runs) for runs in shown.runs.values())
            report.findings += examine_tracking(record, shown)
            report.findings += examine_model(record, shown)

    def mlflow(self, record: Record, report: JobReport) -> Shown | None:
        """Read what MLflow has of a job; None where it does not answer, which is a finding."""
        try:
            check_tracking(self.home)
            return read_shown(self.home, record, partial(self.watch, record.job.id))
        except Exception as error:  # a store of artifacts has errors of its own
            waiting = 0
            with suppress(StoreError):
                waiting = undelivered(self.store, record.job.id)
            what = f"{brief(error)}; {waiting} records of the job wait for it"
            report.findings.append(Finding("mlflow-unreachable", "MLflow", what))
            return None

    def installation(self) -> list[Finding]:
        """Return what is wrong with what belongs to no job."""
        return list(examine_foreign(self.home, partial(every_job, self.store)))


@contextmanager
def examining(home: Home, store: Store, watch: Watch = lambda *_: None) -> Iterator[Examiner]:
    """Yield an examiner of an installation, with a storage of Optuna's that is closed then."""
    with using_storage(store) as optuna:
        yield Examiner(home, store, optuna, watch)


def every_job(store: Store) -> list[str]:
    """Return the ids of all jobs, newest first."""
    with store.session() as session:
        return list(session.scalars(select(Job.id).order_by(Job.created_at.desc())))
