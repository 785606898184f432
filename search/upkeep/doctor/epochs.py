"""The journal against the study: every epoch once, its objective, what followed from it."""

import math
from collections.abc import Callable, Iterator

from optuna.trial import FrozenTrial, TrialState

from search.common.trial import Verdict, state_of
from search.database.tables import RunKey
from search.jobs.jobs import best_epoch
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import Record, listed, same
from search.upkeep.doctor.steps import Requeue, RestoreEpoch
from trainables.metrics import sign_of

Restore = Callable[[RunKey, int], RestoreEpoch | None]
"""Returns the step that writes an epoch again, None where nothing has it."""

LAST = {
    "complete": {Verdict.COMPLETE},
    "pruned": {Verdict.PRUNED},
    "diverged": {Verdict.DIVERGED},
    # A trial that waited when the budget was spent ended without another epoch.
    "budget": {Verdict.BUDGET, Verdict.CONTINUE},
    "failed": {Verdict.CONTINUE},
    "waiting": {Verdict.CONTINUE},
    "running": set(Verdict),  # requeueing it ends it if it had ended
}
"""For each state of a trial the verdicts that its last epoch may have."""


def examine_epochs(record: Record, restore: Restore) -> Iterator[Finding]:
    """Yield where journal and study differ."""
    for where in record.nowhere:
        yield Finding("journal-damaged", "journal", f"the row of {where} has no number there")
    for key in sorted({*record.trials, *record.journal, *record.damaged}):
        yield from examine_damage(record, key, restore)
        if key in record.trials:
            yield from examine_trial(record, key, restore)
        elif key == record.parent:
            yield from examine_steps(record, restore)
        else:
            epochs = listed({*record.journal.get(key, {}), *record.damaged.get(key, {})})
            yield Finding(
                "trial-unknown",
                record.subject(key),
                f"the journal has its {epochs}, but the study has no such trial",
            )


def examine_damage(record: Record, key: RunKey, restore: Restore) -> Iterator[Finding]:
    """Every row of the journal can be read."""
    for epoch, damage in record.damaged.get(key, {}).items():
        yield Finding(
            "epoch-damaged",
            record.subject(key),
            f"the journal's row of epoch {epoch} cannot be read: {damage.why}"
            + left_of(step := restore(key, epoch)),
            step,
        )


def left_of(step: RestoreEpoch | None) -> str:
    """Return what is left of an epoch, for a message."""
    if step is None:
        return ""
    what = "the objective" if step.source == "the study" else "its metrics"
    return f"; {step.source} still has {what}"


def examine_trial(record: Record, key: RunKey, restore: Restore) -> Iterator[Finding]:
    """Journal and study have the same epochs, 1 to k, with the same objective."""
    trial, journal, subject = record.trials[key], record.journal.get(key, {}), record.subject(key)
    metric, study = record.spec.objective.metric, trial.intermediate_values
    damaged = record.damaged.get(key, {})
    for epoch in sorted(study.keys() - journal.keys() - damaged.keys()):
        yield Finding(
            "epoch-missing-in-journal",
            subject,
            f"the study has epoch {epoch} with {metric} {study[epoch]}, the journal has none"
            + left_of(step := restore(key, epoch)),
            step,
        )
    for epoch, found in journal.items():
        value = found.objective(metric)
        if epoch not in study:
            yield Finding(
                "epoch-missing-in-study",
                subject,
                f"the journal has epoch {epoch} with {metric} {value}, the study has none",
            )
        elif not same(value, study[epoch]):
            yield Finding(
                "epoch-differs",
                subject,
                f"{metric} of epoch {epoch} is {value} in the journal, but {study[epoch]} in the "
                "study",
                restore(key, epoch),
            )
    reported = study.keys() | journal.keys() | damaged.keys()
    if reported and (min(reported) != 1 or max(reported) != len(reported)):
        yield Finding(
            "epoch-gap", subject, f"it has {listed(set(reported))}, but not all from 1 on"
        )
    yield from examine_verdicts(record, key, restore)
    yield from examine_value(record, key, trial)


def examine_verdicts(record: Record, key: RunKey, restore: Restore) -> Iterator[Finding]:
    """Only the last epoch may end a trial, and as the study says that it ended."""
    trial, journal = record.trials[key], record.journal.get(key, {})
    state, last = state_of(trial), max(journal, default=0)
    newest = max([*trial.intermediate_values, *record.damaged.get(key, {}), 0])
    for epoch, found in journal.items():
        if epoch != last and found.verdict is not Verdict.CONTINUE:
            yield Finding(
                "verdict-early",
                record.subject(key),
                f"epoch {epoch} ended it ({found.verdict}), but {listed({last})} came later",
                restore(key, epoch),
            )
    if not journal or last < newest:
        return  # what is missing was said
    verdict = journal[last].verdict
    if verdict in LAST[state]:
        return
    untold = state == "waiting"
    yield Finding(
        "verdict-differs",
        record.subject(key),
        f"the journal says {verdict} after epoch {last}, but the study says {state}",
        Requeue(key[0]) if untold else restore(key, last),
    )


def examine_value(record: Record, key: RunKey, trial: FrozenTrial) -> Iterator[Finding]:
    """A complete trial has the value of its best epoch, and all of them, or a reason for fewer."""
    if trial.state is not TrialState.COMPLETE:
        return
    subject, objective = record.subject(key), record.spec.objective
    best = best_epoch(trial.intermediate_values.values(), objective.direction)
    values = trial.values or []
    if values != ([] if best is None else [best]):
        yield Finding(
            "value-differs",
            subject,
            f"the study gives it the value {values[0] if len(values) == 1 else values}, but its "
            f"best epoch has {best}",
        )
    try:
        config = record.spec.config_of(trial)
    except (ValueError, TypeError):
        return  # said elsewhere
    count, wanted = len(trial.intermediate_values), config.epochs
    target = record.spec.budget.target if key[0] == record.job.id else None
    reached = target is not None and best is not None and reaches(target, best, objective.direction)
    at_best = [epoch for epoch, value in trial.intermediate_values.items() if value == best]
    stale = bool(at_best) and config.is_stale(count, min(at_best))
    if count != wanted and not ((reached or stale) and count < wanted):
        yield Finding("epochs-short", subject, f"it is complete after {count} epochs of {wanted}")


def reaches(target: float, value: float, direction: str) -> bool:
    """Whether a value reaches the target."""
    sign = sign_of(direction)
    return sign * value >= sign * target


def examine_steps(record: Record, restore: Restore) -> Iterator[Finding]:
    """The parent run has a step for every ended trial of the search, with the best value."""
    steps, damaged = record.journal.get(record.parent, {}), record.damaged.get(record.parent, {})
    ended = sum(trial.state.is_finished() for trial in record.searched)
    for step in sorted(set(range(1, ended + 1)) - steps.keys() - damaged.keys()):
        yield Finding(
            "step-missing-in-journal",
            "parent run",
            f"{ended} trials of the search have ended, but the journal has no step {step} of them",
            restore(record.parent, step),
        )
    for step in sorted(step for step in steps if not 1 <= step <= ended):
        yield Finding(
            "step-unknown",
            "parent run",
            f"the journal has a step after {step} ended trials, but {ended} have ended",
        )
    for step, found in steps.items():
        told = found.metrics.get("trials_ended", math.nan)
        if told != step:
            yield Finding(
                "step-differs",
                "parent run",
                f"the journal's step {step} says that {told} trials had ended",
                restore(record.parent, step),
            )
