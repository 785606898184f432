"""The model of a trial that did not win."""

import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial

from search.common.home import Home
from search.database.storage import open_storage
from search.database.store import Store
from search.jobs.jobs import NotPossibleError
from search.jobs.loading import describe_data, load_data
from search.study.mirror import Mirror
from search.winner.fetching import FILES, FORMATS
from search.winner.trial_model import trial_files
from tests.search.conftest import add_job, make_spec
from tests.search.winners import PARAMETERS, write_weights

JOB = "tiny-0001"
SPEC = make_spec("confirm={top: 1, seeds: 2}", "baseline=[]")


@pytest.fixture
def job(installation: Home, store: Store) -> Home:
    """An installation with a job of three trials, the last of which is the best."""
    data = load_data(SPEC, installation)
    add_job(store, SPEC, JOB, dataset=json.dumps(describe_data(data)))
    storage = open_storage(store)
    study = optuna.create_study(study_name=JOB, storage=storage, direction="maximize")
    distributions = Mirror(SPEC).space.distributions(PARAMETERS)
    for number, value in enumerate((0.5, 0.6, 0.7)):
        study.add_trial(create_trial(value=value, params=PARAMETERS, distributions=distributions))
        place = installation.folder(JOB).child("search").child(f"{number:06d}")
        write_weights(SPEC, data, place)
    storage.engine.dispose()
    return installation


def test_a_trials_model_says_that_it_is_a_single_run(job: Home, store: Store) -> None:
    files = trial_files(job, store, "tiny", 2)
    assert {*files} == {*FILES} - {"validation.npz", "SHA256SUMS"}
    assert {name for names in FORMATS.values() for name in names} <= {*files}
    card = files["README.md"].decode()
    assert card.startswith("# tiny, trial 2: GRU 8x1")
    assert "| validation accuracy | 0.7000 |" in card
    assert "trial 2 of the search, a single run of many: its 0.7000 may be luck" in card
    assert json.loads(files["metrics.json"]) == {
        "model": {"validation_accuracy": 0.7}, "trial": 2
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (7, "--trial must be one of job tiny-0001, 0 to 2, but got 7"),
        (0, r"weights of trial 0 are not kept, only those of the best and of baselines: 2"),
    ],
)
def test_a_trial_that_cannot_be_fetched(job: Home, store: Store, number: int, fault: str) -> None:
    with pytest.raises(NotPossibleError, match=fault):
        trial_files(job, store, "tiny", number)


def test_weights_that_are_gone(job: Home, store: Store, tmp_path: Path) -> None:
    job.folder(JOB).child("search").child("000002").clear()
    with pytest.raises(NotPossibleError, match="weights of trial 2 are missing"):
        trial_files(job, store, "tiny", 2)
