"""What MLflow shall be told, as statements that the study's own transactions carry."""

import json
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from search.common.trial import LiveTrial, Verdict
from search.database.storage import FencedStorage, Statement
from search.database.store import Store, StoreError
from search.database.tables import PARENT, JournalRow, Run, now_ms, revision_of


class Outbox:
    """Makes the rows of one study that the delivery process takes to MLflow.

    Args:
        storage: whose transactions carry the statements.
        study: the study's name.
        job_id: the job, under whose parent run its best value so far is told.
    """

    def __init__(self, storage: FencedStorage, study: str, job_id: str) -> None:
        self.study = study
        self.job_id = job_id
        revision = revision_of(job_id)
        self.add_epoch = storage.insert_once(JournalRow, revision=revision)
        self.add_run = storage.insert_once(Run, revision=revision)
        worker = func.coalesce(bindparam("on_worker", type_=Run.worker.type), Run.worker)
        precision = bindparam("computed_in", type_=Run.precision.type)
        self.set_status = (
            update(Run)
            .where(Run.study == study, Run.trial == bindparam("of_trial"))
            .values(worker=worker, precision=precision, revision=revision)
        )

    def epoch(
        self,
        trial: int,
        epoch: int,
        metrics: dict[str, float],
        *,
        verdict: str = "continue",
        pruner: dict[str, Any] | None = None,
    ) -> Statement:
        """Return the statement that writes an epoch, unless it is written already."""
        return self.add_epoch, {
            "study": self.study,
            "trial": trial,
            "epoch": epoch,
            "job_id": self.job_id,
            "time_ms": now_ms(),
            "metrics": json.dumps(metrics),
            "verdict": verdict,
            "pruner": json.dumps(pruner or {}),
            "delivered": False,
        }

    def new_run(self, trial: int, name: str, parameters: dict[str, Any]) -> Statement:
        """Return the statement that asks for a trial's run."""
        return self.add_run, {
            "study": self.study,
            "trial": trial,
            "job_id": self.job_id,
            "name": name,
            "parameters": json.dumps(parameters),
            "status": "RUNNING",
            "started_ms": now_ms(),
        }

    def status(
        self, live: LiveTrial, status: str, tag: str | None = None, reason: str | None = None
    ) -> Statement:
        """Return the statement that sets what a trial's run should show."""
        return self.set_status, {
            "of_trial": live.number,
            "status": status,
            "tag": tag,
            "reason": reason,
            "attempts": len(live.lost_after),
            "on_worker": live.worker,
            "computed_in": live.precision,
            "ended_ms": None if status == "RUNNING" else now_ms(),
        }

    def job_step(self, ended: int, metric: str, best: float | None) -> Statement:
        """Return the statement that writes the parent run's step after so many ended trials."""
        known = {} if best is None else {f"best_{metric}": best}
        return self.epoch(PARENT, ended, {"trials_ended": float(ended), **known})


def epochs_of(store: Store, study: str) -> dict[int, list[JournalRow]]:
    """Return the journal's rows of a study's trials, each trial's by epoch."""
    with store.session() as session:
        rows = session.scalars(
            select(JournalRow)
            .where(JournalRow.study == study, JournalRow.trial != PARENT)
            .order_by(JournalRow.trial, JournalRow.epoch)
        ).all()
    return {trial: list(group) for trial, group in groupby(rows, key=lambda row: row.trial)}


def epochs_of_trial(session: Session, study: str, trial: int) -> list[JournalRow]:
    """Return the journal's rows of one trial by epoch."""
    rows = select(JournalRow).where(JournalRow.study == study, JournalRow.trial == trial)
    return list(session.scalars(rows.order_by(JournalRow.epoch)))


def read_epoch(row: JournalRow) -> tuple[dict[str, float], Verdict, dict[str, Any]]:
    """Return an epoch's metrics, what followed from it, and what the pruner remembers.

    Raises:
        StoreError: the row is not what was written.
    """
    try:
        metrics = {key: float(value) for key, value in json.loads(row.metrics).items()}
        return metrics, Verdict(row.verdict), dict(json.loads(row.pruner))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StoreError(
            f"the journal's row of epoch {row.epoch} of trial {row.trial} of {row.study} is "
            f"damaged ({error}); `gatetune doctor {row.job_id}` says what else is"
        ) from error
