"""MLflow's metrics against the journal: each epoch once for each metric, as it was reported."""

import math
from collections.abc import Iterator

from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun

from search.database.tables import RunKey
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import Record, listed, same
from search.upkeep.doctor.shown import Shown
from search.upkeep.doctor.steps import Publish, RenewRun, SendAgain, Step
from search.winner.registry import finals


def examine_metrics(record: Record, shown: Shown, key: RunKey, run: MlflowRun) -> Iterator[Finding]:
    """MLflow has each epoch of the journal once for each metric, and no other.

    Metrics of other names are MLflow's own, or a person's.
    """
    journal, suspect = record.journal.get(key, {}), record.suspect(key)
    wanted: dict[tuple[str, int], tuple[float, int]] = {
        (name, epoch): (value, found.row.time_ms)
        for epoch, found in journal.items()
        for name, value in found.metrics.items()
        if not math.isinf(value)
    }
    ends = expected_finals(record) if key == record.parent else {}
    found: dict[tuple[str, int], list[Metric]] = {}
    for name, history in shown.histories.get(run.info.run_id, {}).items():
        for metric in history:
            found.setdefault((name, metric.step), []).append(metric)
    lacking = {epoch for name, epoch in wanted.keys() - found.keys()} - suspect
    subject = record.subject(key)
    if lacking:
        waiting = {epoch for epoch in lacking if epoch in journal and not journal[epoch].delivered}
        yield Finding(
            "epoch-missing-in-mlflow",
            subject,
            f"the journal has {listed(lacking)}, MLflow lacks some or all of its metrics"
            + (f"; {listed(waiting)} waits for delivery" if waiting else ""),
            SendAgain(key),
        )
    unnoted = {e for e, one in journal.items() if not one.delivered} - lacking - suspect
    if record.model is not None and ends.keys() - found.keys():
        yield Finding(
            "report-missing-in-mlflow",
            subject,
            f"MLflow lacks {', '.join(sorted(name for name, _ in ends.keys() - found.keys()))}",
            Publish(),
        )
    if unnoted:
        yield Finding(
            "epoch-undelivered",
            subject,
            f"{listed(unnoted)} is in MLflow, but not noted as delivered",
            SendAgain(key),
        )
    wanted |= ends
    ours = record.measured | {name for name, _ in ends}
    for place, metrics in sorted(found.items()):
        if place[1] not in suspect and place[0] in ours:
            yield from examine_metric(record, key, run, place, metrics, wanted.get(place))


def examine_metric(  # noqa: PLR0913 - whose metric, what is there, what should be
    record: Record,
    key: RunKey,
    run: MlflowRun,
    place: tuple[str, int],
    found: list[Metric],
    wanted: tuple[float, int] | None,
) -> Iterator[Finding]:
    """A metric of an epoch is there once, with the journal's value and time."""
    name, epoch = place
    kind, what = None, ""
    if wanted is None:
        kind, what = "epoch-unknown-in-mlflow", "the journal has none"
    elif len(found) > 1:
        kind, what = "epoch-doubled-in-mlflow", f"the journal has {wanted[0]} once"
    elif not same(found[0].value, wanted[0]) or found[0].timestamp != wanted[1]:
        kind, what = "epoch-differs-in-mlflow", f"the journal has {wanted[0]} at {wanted[1]}"
    if kind is not None:
        values = ", ".join(f"{metric.value} at {metric.timestamp}" for metric in found)
        yield Finding(
            kind,
            record.subject(key),
            f"MLflow has {name} of epoch {epoch} as {values}; {what}",
            renewal(record, key, run),
        )


def expected_finals(record: Record) -> dict[tuple[str, int], tuple[float, int]]:
    """Return the means that the parent run has beside its steps once the job is published."""
    if record.result is None:
        return {}
    metrics = finals(record.result, time_ms=int(record.job.created_at * 1000))
    return {(m.key, m.step): (m.value, m.timestamp) for m in metrics}


def renewal(record: Record, key: RunKey, run: MlflowRun) -> Step | None:
    """Return the step that replaces a run; None for a parent, on which a model hangs."""
    if key == record.parent and record.model is not None:
        return None
    return RenewRun(key, run.info.run_id)
