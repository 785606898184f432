"""What must be so once a job has ended, whatever happened to it; knows nothing of `doctor`."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator

from optuna.trial import FrozenTrial, TrialState

from search.database.result import Result
from search.database.store import undelivered
from search.study.champion import choose, replicates
from tests.chaos.finding import Finding
from tests.chaos.keeper import Keeper
from tests.chaos.record import Record
from tests.chaos.shown import examine_mlflow
from tests.chaos.witness import Witness, read
from tests.chaos.world import World

LEAVING_S = 90.0
"""How long processes may take to end after their driver; two of Ray's look for their dead GCS for
a minute first."""


def examine(world: World, keeper: Keeper, witness: Witness) -> Iterator[Finding]:
    """Yield all that is wrong with a job that has ended."""
    record = Record.read(keeper)
    yield from examine_end(world, keeper, record)
    yield from examine_numbers(record)
    yield from examine_memory(keeper, witness)
    yield from examine_epochs(record)
    yield from examine_choice(record)
    yield from examine_mlflow(world.tracking.url, record)


def examine_numbers(record: Record) -> Iterator[Finding]:
    """Each study has the trials it should have, numbered from 0, all of them ended."""
    wanted = {record.job.id: record.spec.budget.trials}
    wanted[f"{record.job.id}/confirm"] = len(replicates(record.searched, record.spec))
    for name, trials in record.studies.items():
        found = Counter(trial.number for trial in trials)
        for number in range(max(wanted[name], *found, 0)):
            if found[number] == 0:
                yield Finding("lost", f"trial {number} of {name} is not there")
        for number, times in found.items():
            if times > 1 or number >= wanted[name]:
                yield Finding("doubled", f"trial {number} of {name} is one too many")
        for trial in trials:
            if not trial.state.is_finished() or trial.state is TrialState.FAIL:
                why = trial.user_attrs.get("reason", "")
                what = f"trial {trial.number} of {name} is {trial.state.name} {why}"
                yield Finding("lost", what)
    configurations = Counter(json.dumps(trial.params, sort_keys=True) for trial in record.searched)
    for configuration, times in configurations.items():
        if times > 1:
            yield Finding("doubled", f"{times} trials of the search are {configuration}")


def examine_memory(keeper: Keeper, witness: Witness) -> Iterator[Finding]:
    """All that the study had acknowledged at the time of a fault is there, unchanged."""
    epochs, ended = read(keeper.open())
    for (study, trial, epoch), was in witness.epochs.items():
        now = epochs.get((study, trial, epoch))
        if now != was:
            what = f"epoch {epoch} of trial {trial} of {study} was {was} and is {now}"
            yield Finding("epochs", what)
    for (study, trial), state in witness.ended.items():
        if ended.get((study, trial)) != state:
            what = f"trial {trial} of {study} was {state} and is {ended.get((study, trial))}"
            yield Finding("lost", what)


def examine_epochs(record: Record) -> Iterator[Finding]:
    """Each trial has its epochs without gaps, in the journal as in the study, and their best."""
    epochs = record.spec.config({}).epochs
    for key, trial in record.trials.items():
        rows = record.journal.get(key, [])
        name = f"trial {key[1]} of {key[0]}"
        steps = [row.epoch for row in rows]
        if steps != list(range(1, len(steps) + 1)):
            yield Finding("epochs", f"{name} has the epochs {steps}")
        if trial.state is TrialState.COMPLETE and len(steps) != epochs:
            yield Finding("epochs", f"{name} is complete after {len(steps)} of {epochs} epochs")
        journal = {row.epoch: objective(row.metrics, record) for row in rows}
        if not same(journal, trial.intermediate_values):
            what = f"{name}: journal {journal}, study {trial.intermediate_values}"
            yield Finding("epochs", what)
        yield from examine_value(name, trial, record)


def objective(metrics: str, record: Record) -> float:
    """Return the objective of an epoch; a diverged one has none."""
    return float(json.loads(metrics).get(record.spec.objective.metric, math.nan))


def same(one: dict[int, float], other: dict[int, float]) -> bool:
    """Whether two series are the same; what is not a number equals itself."""
    return one.keys() == other.keys() and all(
        one[step] == other[step] or (math.isnan(one[step]) and math.isnan(other[step]))
        for step in one
    )


def examine_value(name: str, trial: FrozenTrial, record: Record) -> Iterator[Finding]:
    """A complete trial has the value of its best epoch."""
    if trial.state is not TrialState.COMPLETE:
        return
    best = max(trial.intermediate_values.values(), default=None)
    if trial.value != best:
        yield Finding("other", f"{name} has the value {trial.value}, but its best epoch {best}")


def examine_choice(record: Record) -> Iterator[Finding]:
    """The champion is the one that the study says."""
    job = record.job
    if job.result is None:
        yield Finding("other", "the job has no result")
        return
    result = Result.model_validate_json(job.result)
    found = choose(record.spec, job.id, record.searched, record.confirmed)
    fit = () if found is None else (found.chosen.of, *result.level)
    chosen = [
        (one.of, one.runs, one.validation)
        for one in (found.candidates if found else ())
        if one.of in fit
    ]
    if (result.chosen.of, result.chosen.runs, result.chosen.validation) not in chosen:
        yield Finding("other", f"the champion is {result.chosen}, but should be of {found}")
    confirmed = record.shown["confirmed"]
    if confirmed is None or confirmed["params"] != result.chosen.parameters:
        yield Finding("other", f"`show` says that {confirmed} is confirmed, not {result.chosen}")
    if None in (result.summary()["test_mean"], result.summary()["baseline_test_mean"]):
        yield Finding("other", "the champion was not measured")


def examine_end(world: World, keeper: Keeper, record: Record) -> Iterator[Finding]:
    """No lease and no temporary file is left, and nothing waits for delivery."""
    job = record.job
    if job.status != "finished" or record.shown["status"] != "finished":
        yield Finding("other", f"the job is {job.status}: {job.message}")
    if job.lease_owner is not None:
        yield Finding("other", f"{job.lease_owner} still holds the job")
    if waiting := undelivered(keeper.open(), job.id):
        yield Finding("other", f"{waiting} records wait for MLflow")
    scratch = world.home / "scratch" / job.id
    files = [*world.home.rglob("*.tmp"), *world.checkpoints.rglob("*.tmp"), *scratch.glob("*")]
    for path in files:
        yield Finding("other", f"{path} is left")


def examine_processes(world: World) -> Iterator[Finding]:
    """No process is left."""
    deadline = time.monotonic() + LEAVING_S
    while (left := world.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        yield Finding("other", f"process {process.pid} is left: {process.title[:120]}")
