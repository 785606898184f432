"""A small job that is finished in every respect, made once and put back before each test."""

import json
import math
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text

from search.common.home import Home
from search.database.lease import Lease
from search.database.storage import open_storage, read_trials
from search.database.store import Store
from search.document.spec import JobSpec
from search.driver.driver import Driver
from search.driver.progress import Progress
from search.jobs.loading import describe_data
from search.study.champion import choose, replicates
from search.study.retention import delete, unreferenced_of_job
from search.study.study import JobStudy
from search.tracking.tracking import Tracking
from search.upkeep.doctor.examination import Examiner, JobReport
from search.upkeep.doctor.treatment import treat
from tests.conftest import choose_home
from tests.search.conftest import add_job, asked, make_spec, open_study, train
from tests.search.installations import installed_in
from trainables.cells import RecurrentNetwork
from trainables.checkpoint import Checkpoints
from trainables.datasets import SequenceDataset, load_dataset
from trainables.folder import Folder

JOB = "tiny-0001"
CONFIRM = f"{JOB}/confirm"
SETTINGS = (
    "baseline=[{cell: gru, hidden_size: 8, learning_rate: 0.01}]",
    "pruner={name: successive-halving, min_resource: 1}",
    "confirm={top: 2, seeds: 2}",
)


@dataclass
class Patient:
    """A job, and the hands that make it ill."""

    home: Home
    store: Store
    examiner: Examiner
    tracking: Tracking

    def examine(self) -> JobReport:
        return self.examiner.examine(JOB)

    def treat(self) -> JobReport:
        return treat(self.examiner, JOB)

    def sql(self, statement: str, **values: Any) -> None:
        """Change a row as no program of ours would."""
        with self.store.engine.begin() as connection:
            changed = connection.execute(text(statement), values)
        assert changed.rowcount > 0

    def value(self, query: str, **values: Any) -> Any:
        with self.store.engine.begin() as connection:
            return connection.execute(text(query), values).scalar_one()

    def run_id(self, trial: int, study: str = JOB) -> str:
        query = "SELECT run_id FROM runs WHERE study = :study AND trial = :trial"
        return str(self.value(query, study=study, trial=trial))

    def history(self, trial: int, metric: str = "val_accuracy") -> list[tuple[int, float]]:
        found = self.tracking.client.get_metric_history(self.run_id(trial), metric)
        return sorted((one.step, one.value) for one in found)

    @property
    def folder(self) -> Path:
        return Path(self.home.folder(JOB).place)

    @property
    def champion(self) -> Path:
        return self.folder / "champion"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where the job lies, and where a copy of it is kept."""
    folder, kept = (tmp_path_factory.mktemp("doctor") / name for name in ("home", "kept"))
    data = load_dataset("digits", validation=0.2, seed=0, data_dir=Path())
    with installed_in(folder) as (home, store):
        live_through(home, store, data)
    shutil.copytree(folder, kept)
    return folder, kept


def live_through(home: Home, store: Store, data: SequenceDataset) -> None:
    """Do what a driver does, with made-up numbers in place of training."""
    spec = make_spec(*SETTINGS)
    add_job(store, spec, JOB)
    progress = Progress(Console(quiet=True), JOB, str(home.path))
    with Lease(store, JOB) as lease:
        driver = Driver(home, store, lease, spec, None, progress)
        driver.row.set(dataset=json.dumps(describe_data(data)))
        driver.row.begin()
        study = open_study(store, lease, spec)
        search(study)
        study.shut()
        optuna = open_storage(store)
        searched = list(read_trials(optuna, JOB))
        proposals = replicates(searched, spec)
        confirmation = JobStudy(
            store, lease, spec, name=CONFIRM, fixed=proposals, trials=len(proposals),
            searching=False,
        )  # fmt: skip
        for number in range(len(proposals)):
            train(
                confirmation,
                *(0.7 - number % 3 / 10 + number / 100 + epoch / 50 for epoch in range(4)),
            )
        confirmation.shut()
        confirmed = list(read_trials(optuna, CONFIRM))
        optuna.engine.dispose()
        for part, trials in (("search", searched), ("confirm", confirmed)):
            for trial in trials:
                write_weights(spec, data, driver.folder.child(part), trial)
        result = choose(spec, JOB, searched, confirmed)
        assert result is not None
        driver.save(result, data)
        delete(unreferenced_of_job(driver.folder, spec, searched, confirmed, chosen=True))
        driver.deliver_rest()
        driver.publish()
        driver.row.tell_parent("finished")
        driver.deliver_rest()
        driver.row.end("finished", None)


def search(study: JobStudy) -> None:
    """Trials of every kind: complete, pruned, diverged, failed."""
    for best in (0.8, 0.9, 0.1, 0.91):
        live = asked(study)
        for epoch in range(1, 5):
            value = best - 0.01 * abs(3 - epoch)
            outcome = "complete" if epoch == 4 else "running"
            told = {"val_accuracy": value, "val_loss": 1 - value}
            if study.report(live.number, epoch, told, outcome) != "continue":
                break
    live = asked(study)
    study.report(live.number, 1, {"val_accuracy": 0.99, "val_loss": 0.01}, "running")
    study.report(live.number, 2, {"train_loss": math.nan}, "diverged")
    while study.fail(asked(study).number, "Traceback:\nKeyError: 'batch'"):
        pass
    assert list(study.ended.values()) == [
        "complete", "complete", "pruned", "complete", "diverged", "failed",
    ]  # fmt: skip


def write_weights(spec: JobSpec, data: SequenceDataset, folder: Folder, trial: Any) -> None:
    config = spec.config_of(trial)
    network = RecurrentNetwork(config, data.shape)
    checkpoints = Checkpoints(folder.child(f"{trial.number:06d}"))
    checkpoints.write_best(network.state_dict(), epoch=4, value=0.5)


@pytest.fixture
def patient(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    folder, kept = made
    choose_home(monkeypatch, folder)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    shutil.copytree(kept, folder, ignore=lambda _, names: [n for n in names if ".db" in n],
                    dirs_exist_ok=True)  # fmt: skip
    for name in ("gatetune.db", "mlflow.db"):
        with sqlite3.connect(kept / name) as source, sqlite3.connect(folder / name) as target:
            source.backup(target)
        source.close()
        target.close()
    home = Home.from_environment()
    store = Store.open(home.database_url)
    optuna = open_storage(store)
    examiner = Examiner(home, store, optuna, lambda *_: None)
    yield Patient(home, store, examiner, Tracking(home, JOB, "tiny"))
    optuna.engine.dispose()
    store.close()
