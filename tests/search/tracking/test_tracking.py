"""MLflow itself, on a file: every call may be repeated."""

from pathlib import Path

import pytest
from mlflow.entities import Metric

from search.common.home import Home
from search.database.tables import PARENT, RunKey
from search.tracking.tracking import BATCH, NewRun, Status, Tracking
from tests.search.installations import installed


@pytest.fixture
def tracking(home: Path) -> Tracking:
    return Tracking(installed(), "tiny-0001", "tiny")


def new_run(trial: int, *, started_ms: int = 1000, parent_id: str | None = None) -> NewRun:
    return NewRun(("tiny-0001", trial), f"run {trial}", started_ms, parent_id)


def test_an_experiment_is_made_once_and_shows_training_runs(tracking: Tracking) -> None:
    again = Tracking(Home.from_environment(), "tiny-0002", "tiny")
    assert again.experiment_id == tracking.experiment_id
    found = tracking.client.get_experiment(tracking.experiment_id)
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"


def test_an_experiment_deleted_by_a_person_comes_back(tracking: Tracking) -> None:
    kept, gone = (tracking.create(new_run(trial)) for trial in range(2))
    tracking.delete(gone)
    tracking.client.delete_experiment(tracking.experiment_id)
    again = Tracking(Home.from_environment(), "tiny-0001", "tiny")
    assert again.client.get_experiment(tracking.experiment_id).lifecycle_stage == "active"
    assert ids(again) == {("tiny-0001", 0): [kept]}


def ids(tracking: Tracking) -> dict[RunKey, list[str]]:
    return {key: [r.info.run_id for r in runs] for key, runs in tracking.existing().items()}


def test_a_child_is_found_under_its_parent_and_number(tracking: Tracking) -> None:
    parent = tracking.create(new_run(PARENT))
    child = tracking.create(new_run(3, parent_id=parent))
    assert ids(tracking) == {("tiny-0001", PARENT): [parent], ("tiny-0001", 3): [child]}
    run = tracking.client.get_run(child)
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.info.run_name == "run 3"


def test_doubled_runs_are_told_oldest_first(tracking: Tracking) -> None:
    late = tracking.create(new_run(0, started_ms=2000))
    early = tracking.create(new_run(0, started_ms=1000))
    assert ids(tracking) == {("tiny-0001", 0): [early, late]}


def test_parameters_may_be_set_again(tracking: Tracking) -> None:
    run_id = tracking.create(new_run(0))
    for _ in range(2):
        tracking.log(run_id, parameters={"layers": 2})
    assert tracking.client.get_run(run_id).data.params == {"layers": "2"}


def test_runs_of_other_jobs_are_left_alone(tracking: Tracking) -> None:
    tracking.create(new_run(0))
    other = Tracking(Home.from_environment(), "tiny-0002", "tiny")
    assert other.existing() == {}


def test_more_metrics_than_a_request_takes(tracking: Tracking) -> None:
    run_id = tracking.create(new_run(0))
    metrics = [Metric("loss", 1.0, step, step) for step in range(BATCH + 5)]
    for _ in range(2):
        tracking.log(run_id, metrics, {"layers": 2}, {"pruned": "true"})
    assert len(tracking.client.get_metric_history(run_id, "loss")) == BATCH + 5


def test_the_data_set_is_an_input_with_its_digest(tracking: Tracking) -> None:
    run_id = tracking.create(new_run(PARENT))
    for _ in range(2):
        tracking.log_dataset(run_id, {"name": "digits", "fingerprint": "ab" * 32}, profile="{}")
    inputs = tracking.client.get_run(run_id).inputs
    assert inputs is not None
    (entry,) = inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("digits", "ab" * 8)
    assert entry.tags[0].value == "training"


def test_a_run_that_goes_on_loses_the_tag_of_its_end(tracking: Tracking) -> None:
    run_id = tracking.create(new_run(0))
    interrupted = Status("KILLED", "interrupted", 1, ended_ms=5000, precision="bfloat16")
    tracking.log(run_id, tags=interrupted.tags)
    tracking.set_status(run_id, interrupted)
    run = tracking.client.get_run(run_id)
    assert interrupted.fits(run)
    assert run.data.tags["gatetune.workers_lost"] == "1"
    assert run.data.tags["gatetune.precision"] == "bfloat16"
    assert (run.info.status, run.info.end_time) == ("KILLED", 5000)
    assert run.data.tags["interrupted"] == "true"
    tracking.clear_outcome(run_id)
    tracking.set_status(run_id, Status("RUNNING", None, 1, None))
    run = tracking.client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert "interrupted" not in run.data.tags
