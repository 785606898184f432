"""A trial trained again from its record alone, every epoch compared with what was reported."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from search.common.home import Home
from search.database.outbox import epochs_of_trial, read_epoch
from search.database.recorded import trials_of
from search.database.store import Store
from search.database.tables import Job
from search.document.spec import JobSpec
from search.jobs.jobs import NotPossibleError, find
from search.jobs.loading import check_same_data, describe_data, load_data, of_job
from trainables.config import TrialConfig
from trainables.device import PrecisionError, configure, machine, pick_device
from trainables.metrics import COSTS
from trainables.training import Diverged, Trainer

VARIES = {"epoch_s", "samples_per_s", "memory_mb", *COSTS}
"""Metrics that are not computed from the data, and differ every time."""


@dataclass(frozen=True)
class Epoch:
    """An epoch that was trained again.

    Attributes:
        number: counted from 1.
        reported: its metrics as they were reported, those that time decides left out.
        found: the same now; NaN where one is missing.
    """

    number: int
    reported: dict[str, float]
    found: dict[str, float]

    @property
    def apart(self) -> dict[str, float]:
        """By how much each metric differs that does; infinity where one of them is not finite."""
        found = {}
        for name, value in self.reported.items():
            again = self.found.get(name, math.nan)
            if again != value and not (math.isnan(again) and math.isnan(value)):
                difference = abs(again - value)
                found[name] = difference if math.isfinite(difference) else math.inf
        return found


@dataclass(frozen=True)
class Record:
    """All that is needed to train a trial again.

    Attributes:
        job: whose trial it is.
        spec: the job's document.
        study: the trial's study.
        trial: its number there.
        config: what it is trained with, in the precision that it began in.
        seed: of its training.
        epochs: metrics of each, in order, those that time decides left out.
        machine: what it was first computed on, by name; empty where that is not known.
    """

    job: Job
    spec: JobSpec
    study: str
    trial: int
    config: TrialConfig
    seed: int
    epochs: list[dict[str, float]]
    machine: dict[str, str]

    @property
    def device(self) -> torch.device:
        """What it is computed on here: a GPU if it was, and there is one."""
        return pick_device(0.0 if self.machine.get("device", "cpu") == "cpu" else 1.0)

    def reasons(self) -> list[str]:
        """Return what differs on this machine, and may be why numbers do."""
        here = json.loads(machine(self.device))
        return [
            f"{name}: {self.machine.get(name, 'other')} then, {now} now"
            for name, now in here.items()
            if self.machine and self.machine.get(name) != now
        ]


def record_of(store: Store, key: str, number: int | None) -> Record:
    """Return what is known of a trial.

    Args:
        store: the database.
        key: the job.
        number: of a trial of the search; None for the run whose weights are the champion.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: there is no such trial, or it has no epochs.
    """
    job = find(store, key)
    study = job.id
    if number is None:
        result = job.found
        if result is None:
            raise NotPossibleError(
                f"job {job.id} has no winner yet; `gatetune reproduce {job.id} TRIAL` takes a trial"
            )
        study, number = result.study, result.champion_run
    with store.session() as session:
        trials = {trial.number: trial for trial in trials_of(session, study)}
        epochs = [read_epoch(row)[0] for row in epochs_of_trial(session, study, number)]
    if number not in trials:
        raise NotPossibleError(
            f"TRIAL must be one of job {job.id}, 0 to {len(trials) - 1}, but got {number}"
        )
    spec, trial = JobSpec.from_json(job.document), trials[number]
    attrs = trial.user_attrs
    config = spec.config_of(trial)
    if not epochs:
        raise NotPossibleError(f"trial {number} of job {job.id} is {trial.state}, without an epoch")
    return Record(
        job=job,
        spec=spec,
        study=study,
        trial=number,
        config=config.model_copy(update={"precision": attrs.get("precision", config.precision)}),
        seed=attrs["seed"],
        epochs=[{k: v for k, v in one.items() if k not in VARIES} for one in epochs],
        machine=json.loads(attrs.get("machine", "{}")),
    )


def reproduce(home: Home, record: Record) -> Iterator[Epoch]:
    """Train a trial again, and yield each of its epochs.

    Raises:
        DatasetError: the data cannot be read.
        NotPossibleError: they are others than the job had, or this machine cannot compute as it.
    """
    spec = record.spec
    data = load_data(of_job(record.job, spec, home), home)
    check_same_data(record.job, describe_data(data))
    configure(threads=max(1, int(spec.workers.cpus)))
    try:
        trainer = Trainer(
            record.config,
            data,
            seed=record.seed,
            device=record.device,
            metric=spec.objective.metric,
            direction=spec.objective.direction,
        )
    except PrecisionError as error:
        raise NotPossibleError(f"trial {record.trial} began in bfloat16: {error}") from error
    for number, reported in enumerate(record.epochs, start=1):
        try:
            found = trainer.run_epoch()
        except Diverged as diverged:
            yield Epoch(number, reported, diverged.metrics)
            return
        yield Epoch(number, reported, found)
