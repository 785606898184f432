"""Jobs that have found their winner, and lack nothing but its registration."""

import atexit
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import optuna
import torch

from search.common.home import Home
from search.database.lease import Lease
from search.database.result import Candidate, Gain, Result
from search.database.storage import open_storage
from search.database.store import Store
from search.database.tables import PARENT, Job, Run
from search.document.spec import JobSpec
from search.jobs.loading import describe_data
from search.tracking.handover import deliver_rest
from search.winner.comparing import Answers, Asked, measured
from search.winner.models import save_champion
from search.winner.packaging import strangers_to
from search.winner.registry import publish
from search.winner.simple import fitting
from tests.search.conftest import add_job, make_spec
from trainables.cells import RecurrentNetwork
from trainables.checkpoint import Checkpoints
from trainables.config import Parameters
from trainables.datasets import SequenceDataset
from trainables.folder import Folder, LocalFolder

JOB, OTHER = "tiny-0001", "tiny-0002"
PARAMETERS: Parameters = {"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}


def candidate(of: int, *validation: float, baseline: bool = False) -> Candidate:
    return Candidate(
        of=of, parameters=PARAMETERS, baseline=baseline, runs=tuple(range(len(validation))),
        validation=validation,
    )  # fmt: skip


AHEAD = Gain(value=0.1, low=0.05, high=0.15, probability=0.999)


def result(
    chosen: Candidate, *baselines: Candidate, metric: str = "val_accuracy", chance: float = 0.001
) -> Result:
    return Result(
        metric=metric,
        direction="minimize" if metric == "val_loss" else "maximize",
        study=f"{JOB}/confirm",
        confirmed=True,
        chosen=chosen,
        baselines=tuple(
            one if one == chosen else one.model_copy(update={"behind": AHEAD}) for one in baselines
        ),
        chance=chance if baselines else None,
    )


GOOD = result(candidate(2, 0.90, 0.91, 0.92), candidate(0, 0.80, 0.81, 0.82, baseline=True))
WORSE = result(candidate(2, 0.70, 0.72), candidate(0, 0.80, 0.82, baseline=True))
BETTER = result(candidate(2, 0.98, 0.98, 0.99), candidate(0, 0.80, 0.81, 0.82, baseline=True))


@dataclass(frozen=True)
class Made:
    """What a job has found, and its folder, which it may be put back from."""

    found: Result
    folder: Path


MADE: dict[tuple[str, str], Made] = {}
"""By what was to be found and the job: to export a model takes most of the time."""


def made(digits: SequenceDataset, found: Result, job_id: str) -> Made:
    """Return what a job leaves in its folder, made once."""
    key = found.model_dump_json(), job_id
    if key not in MADE:
        spec, folder = make_spec(), LocalFolder(Path(tempfile.mkdtemp()))
        atexit.register(shutil.rmtree, folder.path)
        for run in found.chosen.runs:
            write_weights(spec, digits, folder.child("confirm").child(f"{run:06d}"))
        asked = Asked(found, spec, digits, folder)
        with fitting(digits) as simple:
            told = measured(found, asked, digits, torch.tensor(digits.validation.y), simple)
        with strangers_to(digits) as by:
            save_champion(told, spec, job_id, digits, folder, answered(told.chosen, digits), by)
        MADE[key] = Made(told, folder.path)
    return MADE[key]


def finish_job(
    home: Home, store: Store, digits: SequenceDataset, found: Result, job_id: str = JOB
) -> LocalFolder:
    """Leave a job as its driver does before it publishes: delivered, measured, saved."""
    spec = make_spec()
    add_job(store, spec, job_id)
    with store.session() as session:
        session.get_one(Job, job_id).dataset = json.dumps(describe_data(digits))
        session.add(
            Run(study=job_id, trial=PARENT, job_id=job_id, name=job_id, parameters="{}",
                status="RUNNING", started_ms=1000)
        )  # fmt: skip
    storage = open_storage(store)
    study = optuna.create_study(study_name=job_id, storage=storage, direction="maximize")
    study.add_trials(
        optuna.trial.create_trial(value=value, intermediate_values={1: value / 2, 2: value})
        for value in (0.8, 0.7, 0.9)
    )
    storage.engine.dispose()
    kept, folder = made(digits, found, job_id), home.folder(job_id)
    assert isinstance(folder, LocalFolder)
    shutil.copytree(kept.folder, folder.path, dirs_exist_ok=True)
    with store.session() as session:
        session.get_one(Job, job_id).result = kept.found.model_dump_json()
    with Lease(store, job_id) as lease:
        deliver_rest(home, store, job_id, lease.owner)
    return folder


def finish_rivals(home: Home, store: Store, digits: SequenceDataset) -> None:
    """Register a champion, and a challenger of another job."""
    for job_id, found in ((JOB, GOOD), (OTHER, WORSE)):
        finish_job(home, store, digits, found, job_id)
        model = json.dumps(publish(home, store, job_id))
        with store.session() as session:
            session.get_one(Job, job_id).model = model


def answered(one: Candidate, data: SequenceDataset) -> bytes:
    """Return answers on the validation part of which as many are right as was reported."""
    y = torch.tensor(data.validation.y)
    runs = []
    for value in one.validation:
        right = torch.arange(len(y)) < value * len(y)
        runs.append(torch.nn.functional.one_hot(torch.where(right, y, (y + 1) % 10), 10).float())
    return Answers({one.of: torch.stack(runs)}, y).kept()


def write_weights(spec: JobSpec, data: SequenceDataset, folder: Folder) -> None:
    network = RecurrentNetwork(spec.config(PARAMETERS), data.shape)
    Checkpoints(folder).write_best(network.state_dict(), epoch=1, value=0.9)
