"""What the journal lost, written again from what it still says, from MLflow, or from the study."""

import json
import math
from collections import Counter
from itertools import chain

from mlflow.entities import Metric
from optuna.trial import FrozenTrial

from search.common.trial import Verdict, state_of
from search.database.outbox import read_epoch
from search.database.store import StoreError
from search.database.tables import JournalRow, RunKey
from search.upkeep.doctor.record import UNREADABLE, Record, same
from search.upkeep.doctor.shown import Shown
from search.upkeep.doctor.steps import RestoreEpoch

Found = tuple[dict[str, float], int]
"""An epoch's metrics, and its time in MLflow's unit."""


def restoration(
    record: Record, shown: Shown | None, key: RunKey, epoch: int
) -> RestoreEpoch | None:
    """Return the step that writes an epoch again, None where the study has none like it.

    The objective must be the study's own. The other metrics come from the journal where it still
    has them, else from MLflow; where MLflow answers and has nothing either, the study's objective
    is all that is left. The verdict follows from how the study ended the trial.
    """
    sources = {
        "the journal": kept_metrics(record, key, epoch),
        "MLflow": metrics_in_mlflow(record, shown, key, epoch),
        "the study": None if shown is None else metrics_in_study(record, key, epoch),
    }
    for source, found in sources.items():
        if found is not None and is_study_s(record, key, epoch, found[0]):
            verdict, memory = verdict_of(record, key, epoch), kept_memory(record, key, epoch)
            metrics = json.dumps(found[0])
            return RestoreEpoch(key, epoch, found[1], metrics, verdict.value, memory, source)
    return None


def row_of(record: Record, key: RunKey, epoch: int) -> JournalRow | None:
    """Return what the journal has of an epoch, damaged or not."""
    if found := record.journal.get(key, {}).get(epoch):
        return found.row
    damage = record.damaged.get(key, {}).get(epoch)
    return None if damage is None else damage.row


def kept_metrics(record: Record, key: RunKey, epoch: int) -> Found | None:
    """Return the metrics and the time that the journal still has of an epoch."""
    row = row_of(record, key, epoch)
    if row is None or not isinstance(row.time_ms, int):
        return None
    readable = JournalRow(metrics=row.metrics, verdict="continue", pruner="{}")
    try:
        return read_epoch(readable)[0], row.time_ms
    except (StoreError, *UNREADABLE):
        return None


def kept_memory(record: Record, key: RunKey, epoch: int) -> str:
    """Return what the journal still has of the pruner's memory."""
    row = row_of(record, key, epoch)
    if row is None:
        return "{}"
    try:
        read_epoch(JournalRow(metrics="{}", verdict="continue", pruner=row.pruner))
    except (StoreError, *UNREADABLE):
        return "{}"
    return row.pruner


def metrics_in_mlflow(record: Record, shown: Shown | None, key: RunKey, epoch: int) -> Found | None:
    """Return the metrics that MLflow has of an epoch once, and the time of most of them."""
    if shown is None:
        return None
    history = shown.history(record, key)
    found: list[Metric] = [m for m in chain(*history.values()) if m.step == epoch]
    times = Counter(metric.timestamp for metric in found)
    names = Counter(metric.key for metric in found)
    if not found:
        return None
    metrics = {metric.key: float(metric.value) for metric in found if names[metric.key] == 1}
    return metrics, int(times.most_common(1)[0][0])


def metrics_in_study(record: Record, key: RunKey, epoch: int) -> Found | None:
    """Return what the study itself says of an epoch: its objective, or how many had ended."""
    row, trial = row_of(record, key, epoch), record.trials.get(key)
    began = record.job.created_at
    if trial is not None and trial.datetime_start is not None:
        began = trial.datetime_start.timestamp()
    time_ms = row.time_ms if row and isinstance(row.time_ms, int) else int(began * 1000)
    if key == record.parent:
        return {"trials_ended": float(epoch)}, time_ms
    if trial is None or epoch not in trial.intermediate_values:
        return None
    value = trial.intermediate_values[epoch]
    return {} if math.isnan(value) else {record.spec.objective.metric: value}, time_ms


def is_study_s(record: Record, key: RunKey, epoch: int, metrics: dict[str, float]) -> bool:
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


def verdict_of(record: Record, key: RunKey, epoch: int) -> Verdict:
    """Return what followed from an epoch."""
    trial: FrozenTrial | None = record.trials.get(key)
    if trial is None or epoch != max(trial.intermediate_values, default=0):
        return Verdict.CONTINUE
    state = state_of(trial)
    if state == "budget":
        row = row_of(record, key, epoch)
        return Verdict.BUDGET if row is None or row.verdict != "continue" else Verdict.CONTINUE
    return Verdict(state) if state in set(Verdict) else Verdict.CONTINUE
