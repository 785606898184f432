"""A finished job as the database has it, read once for all checks."""

from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import select

from search.database.storage import both_studies
from search.database.tables import Job, JournalRow, Run, RunKey
from search.document.spec import JobSpec
from tests.chaos.keeper import Keeper


@dataclass
class Record:
    """The job, its two studies, its journal, and what the commands say of it."""

    job: Job
    spec: JobSpec
    searched: list[FrozenTrial]
    confirmed: list[FrozenTrial]
    journal: dict[RunKey, list[JournalRow]]
    runs: dict[RunKey, Run]
    shown: dict[str, Any]
    listed: list[dict[str, Any]]

    @classmethod
    def read(cls, keeper: Keeper) -> "Record":
        """Read the job of a keeper."""
        store, job_id = keeper.open(), keeper.job_id
        assert job_id is not None
        journal: dict[RunKey, list[JournalRow]] = {}
        with store.session() as session:
            job = session.get_one(Job, job_id)
            order = (JournalRow.study, JournalRow.trial, JournalRow.epoch)
            for row in session.scalars(select(JournalRow).order_by(*order)):
                journal.setdefault(row.key, []).append(row)
            runs = {run.key: run for run in session.scalars(select(Run))}
        searched, confirmed = both_studies(store, job_id)
        return cls(
            job=job,
            spec=JobSpec.from_json(job.document),
            searched=searched,
            confirmed=confirmed,
            journal=journal,
            runs=runs,
            shown=keeper.ask("show"),
            listed=keeper.ask("trials"),
        )

    @property
    def studies(self) -> dict[str, list[FrozenTrial]]:
        """Both studies by name."""
        return {self.job.id: self.searched, f"{self.job.id}/confirm": self.confirmed}

    @property
    def trials(self) -> dict[RunKey, FrozenTrial]:
        """All trials."""
        return {
            (name, trial.number): trial for name, trials in self.studies.items() for trial in trials
        }
