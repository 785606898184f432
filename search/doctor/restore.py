"""What the journal lost, written again from what MLflow has of it."""

import json
import math
from itertools import chain

from mlflow.entities import Metric
from optuna.trial import FrozenTrial

from search.doctor.record import UNREADABLE, Record, same
from search.doctor.shown import Shown
from search.doctor.steps import Key, RestoreEpoch
from search.outbox import read_epoch
from search.store import JournalRow, StoreError
from search.trial import Verdict, state_of


def restoration(record: Record, shown: Shown | None, key: Key, epoch: int) -> RestoreEpoch | None:
    """Return the step that writes an epoch again, None where nothing has it whole.

    The objective must be the study's own; metrics come from the journal where they still say it,
    else from MLflow. The verdict follows from how the study ended the trial.
    """
    kept = kept_metrics(record, key, epoch)
    if kept is not None and is_study_s(record, key, epoch, kept[0]):
        metrics, time_ms = kept
    else:
        found = metrics_in_mlflow(record, shown, key, epoch)
        if found is None or not is_study_s(record, key, epoch, found[0]):
            return None
        metrics, time_ms = found
    return RestoreEpoch(
        key,
        epoch,
        time_ms,
        json.dumps(metrics),
        verdict_of(record, key, epoch).value,
        kept_memory(record, key, epoch),
    )


def row_of(record: Record, key: Key, epoch: int) -> JournalRow | None:
    """Return what the journal has of an epoch, damaged or not."""
    if found := record.journal.get(key, {}).get(epoch):
        return found.row
    damage = record.damaged.get(key, {}).get(epoch)
    return None if damage is None else damage.row


def kept_metrics(record: Record, key: Key, epoch: int) -> tuple[dict[str, float], int] | None:
    """Return the metrics and the time that the journal still has of an epoch."""
    row = row_of(record, key, epoch)
    if row is None or not isinstance(row.time_ms, int):
        return None
    readable = JournalRow(metrics=row.metrics, verdict="continue", pruner="{}")
    try:
        return read_epoch(readable)[0], row.time_ms
    except (StoreError, *UNREADABLE):
        return None


def kept_memory(record: Record, key: Key, epoch: int) -> str:
    """Return what the journal still has of the pruner's memory."""
    row = row_of(record, key, epoch)
    if row is None:
        return "{}"
    try:
        read_epoch(JournalRow(metrics="{}", verdict="continue", pruner=row.pruner))
    except (StoreError, *UNREADABLE):
        return "{}"
    return row.pruner


def metrics_in_mlflow(
    record: Record, shown: Shown | None, key: Key, epoch: int
) -> tuple[dict[str, float], int] | None:
    """Return the metrics and the time that MLflow has of an epoch, each once."""
    if shown is None:
        return None
    history = shown.history(record, key)
    found: list[Metric] = [m for m in chain(*history.values()) if m.step == epoch]
    names = {metric.key for metric in found}
    times = {metric.timestamp for metric in found}
    if not found or len(names) < len(found) or len(times) != 1:
        return None
    return {metric.key: float(metric.value) for metric in found}, int(times.pop())


def is_study_s(record: Record, key: Key, epoch: int, metrics: dict[str, float]) -> bool:
    """Whether metrics have the objective that the study has of this epoch."""
    if key == record.parent:
        return metrics.get("trials_ended") == epoch
    trial = record.trials.get(key)
    if trial is None or epoch not in trial.intermediate_values:
        return False
    value = trial.intermediate_values[epoch]
    if verdict_of(record, key, epoch) is Verdict.DIVERGED:
        return math.isnan(value)
    return same(metrics.get(record.spec.objective.metric, math.nan), value)


def verdict_of(record: Record, key: Key, epoch: int) -> Verdict:
    """Return what followed from an epoch."""
    trial: FrozenTrial | None = record.trials.get(key)
    if trial is None or epoch != max(trial.intermediate_values, default=0):
        return Verdict.CONTINUE
    state = state_of(trial)
    if state == "budget":
        row = row_of(record, key, epoch)
        return Verdict.BUDGET if row is None or row.verdict != "continue" else Verdict.CONTINUE
    return Verdict(state) if state in set(Verdict) else Verdict.CONTINUE
