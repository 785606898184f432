"""MLflow against the journal: one run a trial, its status, parameters and every epoch once."""

from collections.abc import Iterator

from mlflow.entities import Run as MlflowRun

from search.database.tables import PARENT, Run, RunKey
from search.tracking.handover import status_of
from search.tracking.tracking import LOST_TAG, OUTCOMES, PRECISION_TAG, key_of
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.metrics import examine_metrics, renewal
from search.upkeep.doctor.record import Record, read_object
from search.upkeep.doctor.shown import Shown
from search.upkeep.doctor.steps import (
    DeleteRun,
    FindRun,
    LogChampion,
    Publish,
    SendAgain,
    SetTag,
    Step,
)

LONGEST = 6000
"""Characters that MLflow keeps of a parameter."""

PARENT_TAG = "mlflow.parentRunId"


def examine_tracking(record: Record, shown: Shown) -> Iterator[Finding]:
    """Yield where MLflow differs from rows and journal."""
    for stray in shown.strays:
        yield Finding(
            "run-orphaned",
            f"MLflow run {stray.info.run_id}",
            f"it bears the job's tag ({stray.info.run_name}), but belongs to no trial",
            DeleteRun(stray.info.run_id),
        )
    for key, row in record.runs.items():
        run = shown.run_of(record, key)
        yield from examine_doubles(record, shown, key, run)
        if run is None:
            yield missing(record, shown, key, row)
            continue
        yield from examine_run(record, key, row, run)
        yield from examine_parent_tag(record, shown, key, run)
        yield from examine_metrics(record, shown, key, run)
    yield from examine_artifacts(record, shown)


def examine_doubles(
    record: Record, shown: Shown, key: RunKey, run: MlflowRun | None
) -> Iterator[Finding]:
    """A trial has one run: the one whose id stands in our database."""
    for other in shown.runs.get(key, []):
        if run is None or other.info.run_id != run.info.run_id:
            kept = "the database names none that is there" if run is None else (
                f"its run is {run.info.run_id}"
            )  # fmt: skip
            yield Finding(
                "run-doubled",
                record.subject(key),
                f"MLflow has another run of it, {other.info.run_id}, but {kept}",
                DeleteRun(other.info.run_id),
            )


def missing(record: Record, shown: Shown, key: RunKey, row: Run) -> Finding:
    """Return that MLflow has no run of a trial."""
    subject = record.subject(key)
    if row.run_id is None:
        return Finding(
            "run-undelivered", subject, "its run waits for delivery to MLflow", SendAgain(key)
        )
    how = "was deleted there" if row.run_id in shown.deleted else "is not there"
    return Finding(
        "run-missing-in-mlflow",
        subject,
        f"its run {row.run_id} {how}",
        FindRun(key, row.run_id),
    )


def examine_run(record: Record, key: RunKey, row: Run, run: MlflowRun) -> Iterator[Finding]:
    """A run has the status, the tag, the end and the parameters of its row."""
    subject, again = record.subject(key), SendAgain(key)
    if key_of(run) != key:
        yield Finding(
            "run-tags-in-mlflow",
            subject,
            f"run {run.info.run_id} bears the tags of {key_of(run)}, but is the run of {key}",
            FindRun(key, run.info.run_id),
        )
    if row.run_id is None:
        yield Finding(
            "run-undelivered", subject, f"run {run.info.run_id} is not noted as its run", again
        )
    outcomes = sorted(tag for tag in OUTCOMES if tag in run.data.tags)
    lost, precision = run.data.tags.get(LOST_TAG, "0"), run.data.tags.get(PRECISION_TAG)
    ended = row.status == "RUNNING" or run.info.end_time == row.ended_ms
    if not status_of(row).fits(run) or not ended:
        yield Finding(
            "run-undelivered" if row.is_undelivered else "run-status-in-mlflow",
            subject,
            f"MLflow shows {run.info.status}, tags {outcomes}, {lost} workers lost, precision "
            f"{precision}, ended at {run.info.end_time}; it should be {row.status}, "
            f"{[row.tag] if row.tag else []}, {row.attempts}, {row.precision}, {row.ended_ms}"
            + (", which waits for delivery" if row.is_undelivered else ""),
            again,
        )
    elif row.is_undelivered:
        yield Finding(
            "run-undelivered", subject, f"its status {row.status} is not noted as delivered", again
        )
    yield from examine_parameters(record, key, row, run)


def examine_parameters(record: Record, key: RunKey, row: Run, run: MlflowRun) -> Iterator[Finding]:
    """A run has the parameters of its row; others are a person's."""
    parameters = read_object(row.parameters)
    if parameters is None:
        return  # said where rows are examined
    wanted = {name: str(value)[:LONGEST] for name, value in parameters.items()}
    found = {name: value for name, value in run.data.params.items() if name in wanted}
    if found == wanted:
        return
    lacking = found.items() <= wanted.items()
    yield Finding(
        "run-parameters-in-mlflow",
        record.subject(key),
        "; ".join(
            f"{name} is {found.get(name, 'missing')} in MLflow, but should be {wanted[name]}"
            for name in sorted(wanted)
            if found.get(name) != wanted[name]
        ),
        SendAgain(key) if lacking else renewal(record, key, run),
    )


def examine_parent_tag(
    record: Record, shown: Shown, key: RunKey, run: MlflowRun
) -> Iterator[Finding]:
    """A trial's run hangs below the parent run."""
    parent = shown.run_of(record, record.parent)
    if parent is None or key[1] == PARENT:
        return
    found = run.data.tags.get(PARENT_TAG)
    if found != parent.info.run_id:
        yield Finding(
            "run-parent-in-mlflow",
            record.subject(key),
            f"its run hangs below run {found}, but the parent run is {parent.info.run_id}",
            SetTag(run.info.run_id, PARENT_TAG, parent.info.run_id),
        )


def examine_artifacts(record: Record, shown: Shown) -> Iterator[Finding]:
    """The parent run has what the job was made of, and what it found."""
    parent, row = shown.run_of(record, record.parent), record.runs.get(record.parent)
    if parent is None or row is None or row.delivered is None or shown.bare is not None:
        return
    steps: dict[str, Step] = {"job.yaml": SendAgain(record.parent)}
    steps["packages.txt"] = SendAgain(record.parent)
    if record.model is not None:
        steps |= {"report.md": Publish(), "report.html": Publish(), "champion": LogChampion()}
    for name in sorted(steps.keys() - shown.artifacts):
        yield Finding("artifact-missing", "parent run", f"MLflow has no {name} of it", steps[name])
