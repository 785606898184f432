"""What MLflow shall be told of each run, against the study, which says what is so."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from search.common.labels import run_name
from search.common.trial import SHOWN, SHOWN_OF_JOB, state_of
from search.database.tables import PARENT, Run, RunKey, now_ms
from search.document.document import flatten
from search.document.spec import JobSpec
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import UNREADABLE, Record, read_object
from search.upkeep.doctor.steps import RewriteRow


@dataclass(frozen=True)
class Told:
    """What the row of a run should say."""

    status: str
    tag: str | None
    attempts: int
    precision: str | None
    parameters: dict[str, Any]

    def line(self) -> str:
        """Return the status for a message."""
        return told_line(self.status, self.tag, self.attempts, self.precision)


def told_line(status: str, tag: str | None, attempts: int = 0, precision: str | None = None) -> str:
    """Return a status, its tag, the workers lost and the precision for a message."""
    lost = f", {attempts} workers lost" if attempts else ""
    computed = f", in {precision}" if precision else ""
    return f"{status}{f' ({tag})' if tag else ''}{lost}{computed}"


def told_of(spec: JobSpec, trial: FrozenTrial) -> Told:
    """Return what the row of a trial should say.

    Raises:
        ValueError, KeyError, TypeError: the study's own record is damaged.
    """
    attrs = trial.user_attrs
    config = spec.config_of(trial)
    status, tag = SHOWN[state_of(trial)]
    lost, precision = len(attrs.get("lost_after", [])), attrs.get("precision")
    return Told(status, tag, lost, precision, config.model_dump() | {"seed": attrs["seed"]})


def examine_rows(record: Record) -> Iterator[Finding]:
    """Yield where the rows of runs differ from the study and the job."""
    for key, trial in record.trials.items():
        try:
            told = told_of(record.spec, trial)
        except UNREADABLE:
            continue  # the study's own fault, and said there
        row = record.runs.get(key)
        if row is None:
            yield Finding(
                "run-row-missing",
                record.subject(key),
                f"the study has it ({state_of(trial)}), but no row says what MLflow shall be told",
                RewriteRow(key),
            )
        else:
            yield from examine_row(record, key, row, told)
    for key in record.runs:
        if key not in record.trials and key != record.parent:
            yield Finding(
                "run-row-unknown",
                record.subject(key),
                "a row says what MLflow shall be told of it, but the study has no such trial",
            )
    yield from examine_parent(record)


def examine_row(record: Record, key: RunKey, row: Run, told: Told) -> Iterator[Finding]:
    """A trial's row has the status, the tag and the parameters that the study says."""
    subject = record.subject(key)
    state = state_of(record.trials[key])
    shown = told_line(row.status, row.tag, row.attempts, row.precision)
    if shown != told.line() and state != "running":
        yield Finding(
            "run-row-status",
            subject,
            f"the study says {state}, so MLflow should be told {told.line()}, but its row says "
            f"{shown}",
            RewriteRow(key),
        )
    elif row.status != "RUNNING" and row.ended_ms is None:
        yield Finding(
            "run-row-status", subject, f"its row says {shown}, but not since when", RewriteRow(key)
        )
    known = read_object(row.parameters)
    # Through JSON and back, as the row's own.
    if known != json.loads(json.dumps(told.parameters)):
        yield Finding(
            "run-row-parameters",
            subject,
            "the row of its run has "
            + (f"parameters that cannot be read: {row.parameters[:60]!r}" if known is None
               else differences(known, told.parameters)),
            RewriteRow(key),
        )  # fmt: skip


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Return where parameters differ, for a message."""
    return "; ".join(
        f"{name} {found.get(name, 'missing')!r}, but the study {wanted.get(name, 'missing')!r}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name, "missing") != wanted.get(name, "missing")
    )


def examine_parent(record: Record) -> Iterator[Finding]:
    """The parent's row has the status of the job."""
    row, job = record.runs.get(record.parent), record.job
    if row is None:
        if record.trials or job.started_at is not None:
            yield Finding(
                "run-row-missing",
                "parent run",
                f"the job is {job.status}, but no row says what MLflow shall be told of it",
                RewriteRow(record.parent),
            )
        return
    # While a job waits in the queue its run shows what it did before.
    wanted = None if job.status == "queued" else SHOWN_OF_JOB.get(job.status)
    if wanted is not None and (row.status, row.tag) != wanted:
        yield Finding(
            "run-row-status",
            "parent run",
            f"the job is {job.status}, so MLflow should be told {told_line(*wanted)}, but the "
            f"row of the parent run says {told_line(row.status, row.tag)}",
            RewriteRow(record.parent),
        )
    if read_object(row.parameters) is None:
        yield Finding(
            "run-row-parameters",
            "parent run",
            f"the row of the parent run has parameters that cannot be read: "
            f"{row.parameters[:60]!r}",
            RewriteRow(record.parent),
        )


def rewritten(record: Record, key: RunKey) -> Run:
    """Return the row as it should be, its delivery still to come.

    Raises:
        ValueError, KeyError, TypeError: the study's own record is damaged.
    """
    known = record.runs.get(key)
    made = known or Run(study=key[0], trial=key[1], job_id=record.job.id)
    if key[1] == PARENT:
        job, told = record.job, SHOWN_OF_JOB.get(record.job.status, SHOWN["waiting"])
        made.status, made.tag = told
        made.name, made.attempts = job.id, 0
        made.parameters = json.dumps(flatten(json.loads(job.document)))
        began, ended = job.started_at or job.created_at, job.ended_at
        times: tuple[int | None, int | None] = (
            int(began * 1000),
            None if ended is None else int(ended * 1000),
        )
    else:
        trial = record.trials[key]
        told_now = told_of(record.spec, trial)
        config = record.spec.config_of(trial)
        made.status, made.tag = told_now.status, told_now.tag
        made.name, made.attempts = run_name(key[1], config, trial.user_attrs), told_now.attempts
        made.precision, made.parameters = told_now.precision, json.dumps(told_now.parameters)
        reason = made.reason or trial.user_attrs.get("reason")
        made.reason = reason if told_now.tag == "failed" else None
        times = (ms(trial.datetime_start), ms(trial.datetime_complete))
    now = now_ms()
    made.started_ms = made.started_ms or times[0] or now
    made.ended_ms = None if made.status == "RUNNING" else made.ended_ms or times[1] or now
    return made


def ms(moment: Any) -> int | None:
    """Return a datetime in MLflow's unit."""
    return None if moment is None else int(moment.timestamp() * 1000)
