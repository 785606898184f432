"""Repairs in our own database, in files and of processes."""

import time
from functools import singledispatch

from sqlalchemy import delete

from search.database.jobrow import parent_of
from search.database.tables import Job, JournalRow
from search.document.spec import JobSpec
from search.study import retention
from search.study.study import JobStudy
from search.upkeep.doctor import steps
from search.upkeep.doctor.hands import Hands
from search.upkeep.doctor.leftovers import end_process
from search.upkeep.doctor.rows import rewritten


@singledispatch
def mend(step: steps.Step, hands: Hands) -> None:
    """Take one step outside of MLflow.

    Raises:
        LeaseLostError: a driver took the job over.
    """
    raise NotImplementedError(f"{type(step).__name__} of {hands.job_id}")


@mend.register
def _(_step: steps.DropLease, _hands: Hands) -> None:
    """Our own lease has replaced it."""


@mend.register
def _(step: steps.EndProcess, _hands: Hands) -> None:
    end_process(step.pid, step.born)


@mend.register
def _(_step: steps.StopJob, hands: Hands) -> None:
    message = f"its driver died; `gatetune resume {hands.job_id}` goes on"
    with hands.lease.session() as session:
        job = session.get_one(Job, hands.job_id)
        if job.status != "running":
            return  # it was resumed, since it was examined
        job.status, job.message, job.ended_at = "stopped", message, time.time()
        job.supervised = False
        session.execute(parent_of(hands.job_id, job.status))


@mend.register
def _(step: steps.Requeue, hands: Hands) -> None:
    with hands.store.session() as session:
        spec = JobSpec.from_json(session.get_one(Job, hands.job_id).document)
    study = JobStudy(  # which requeues when it is read
        hands.store, hands.lease, spec, name=step.study, fixed=[], trials=0,
        searching=step.study == hands.job_id,
    )  # fmt: skip
    study.shut()


@mend.register
def _(step: steps.RestoreEpoch, hands: Hands) -> None:
    with hands.lease.session() as session:
        session.execute(
            delete(JournalRow).where(
                JournalRow.study == step.key[0],
                JournalRow.trial == step.key[1],
                JournalRow.epoch == step.epoch,
            )
        )
        session.add(
            JournalRow(
                study=step.key[0],
                trial=step.key[1],
                epoch=step.epoch,
                job_id=hands.job_id,
                time_ms=step.time_ms,
                metrics=step.metrics,
                verdict=step.verdict,
                pruner=step.pruner,
                delivered=True,
            )
        )


@mend.register
def _(step: steps.RewriteRow, hands: Hands) -> None:
    row = rewritten(hands.record, step.key)
    with hands.lease.session() as session:
        session.merge(row)


@mend.register
def _(step: steps.Delete, _hands: Hands) -> None:
    retention.delete([step.item])
