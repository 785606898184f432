"""What stands in the journal arrives in MLflow once, whatever happens on the way."""

from typing import Any
from unittest.mock import patch

import mlflow
import pytest
from sqlalchemy import update

from search.common.home import Home
from search.common.trial import MLFLOW_STATUS, Verdict
from search.database.lease import LeaseLostError
from search.database.store import Store, undelivered
from search.database.tables import PARENT, JournalRow, Run
from search.tracking.handover import Delivery
from search.tracking.tracking import NewRun
from tests.search.tracking.conftest import (
    JOB,
    add_run,
    connected,
    forget,
    history,
    in_mlflow,
    owned_by,
)


@pytest.fixture
def delivery(installation: Home, store: Store) -> Delivery:
    return connected(installation, store)


def change(store: Store, trial: int, **columns: Any) -> None:
    with store.session() as session:
        session.execute(update(Run).where(Run.trial == trial).values(**columns))


def everything(delivery: Delivery) -> None:
    while delivery.deliver():
        pass


def test_before_a_run_ends_nothing_is_taken_back_that_was_never_said(
    store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5)
    everything(delivery)
    change(store, 0, status="FINISHED", ended_ms=3000)
    with patch.object(delivery.tracking, "clear_outcome") as taken_back:
        everything(delivery)
    taken_back.assert_not_called()


def test_an_epoch_arrives_with_its_own_step_and_time(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, 0.7)
    everything(delivery)
    assert history(installation, 0) == [(1, 0.5, 2001), (2, 0.7, 2002)]
    runs = in_mlflow(installation)
    assert runs[0].data.tags["mlflow.parentRunId"] == runs[PARENT].info.run_id
    assert runs[0].info.run_name == "trial 0"
    assert undelivered(store, JOB) == 0


def test_a_run_is_described_once_however_many_batches_it_takes(
    installation: Home, store: Store, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.handover.ROWS", 2)
    add_run(store, 0, 0.5, 0.6, 0.7, 0.8, 0.9)
    tracking = delivery.tracking
    with patch.object(tracking, "log", wraps=tracking.log) as log:
        everything(delivery)
    described = [call for call in log.call_args_list if call.args[2]]
    assert len(described) == 2  # the parent's and the trial's
    assert len(history(installation, 0)) == 5


def test_of_a_full_batch_only_trials_that_are_whole_end(
    installation: Home, store: Store, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.handover.ROWS", 2)
    add_run(store, 0, 0.5, status="FINISHED", ended_ms=9000)
    add_run(store, 1, 0.6, 0.7, status="KILLED", tag="pruned", ended_ms=9000)
    for _ in range(2):
        delivery.deliver()
    runs = in_mlflow(installation)
    assert [runs[trial].info.status for trial in (0, 1)] == ["FINISHED", "RUNNING"]
    assert "pruned" not in runs[1].data.tags
    everything(delivery)
    assert in_mlflow(installation)[1].info.status == "KILLED"
    assert [step for step, _, _ in history(installation, 1)] == [1, 2]


def test_after_a_crash_before_the_note_nothing_is_doubled(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, float("nan"), status="FINISHED", ended_ms=9000)
    everything(delivery)
    before = in_mlflow(installation)
    forget(store)
    everything(connected(installation, store))
    after = in_mlflow(installation)
    assert {t: run.info.run_id for t, run in after.items()} == {
        t: run.info.run_id for t, run in before.items()
    }
    assert [step for step, _, _ in history(installation, 0)] == [1, 2]
    assert after[0].info.status == "FINISHED"
    assert undelivered(store, JOB) == 0


def test_a_lost_mlflow_is_filled_again_from_the_journal(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, status="FINISHED", ended_ms=9000)
    everything(delivery)
    forget(store)
    delivery.tracking.client.delete_run(in_mlflow(installation)[0].info.run_id)
    everything(connected(installation, store))
    assert history(installation, 0) == [(1, 0.5, 2001)]


@pytest.mark.parametrize(
    ("status", "tag"),
    [
        (MLFLOW_STATUS[Verdict.COMPLETE], None),
        (MLFLOW_STATUS[Verdict.PRUNED], "pruned"),
        (MLFLOW_STATUS[Verdict.DIVERGED], "diverged"),
        ("FAILED", "failed"),
        (MLFLOW_STATUS[Verdict.BUDGET], "budget"),
        ("KILLED", "interrupted"),
    ],
)
def test_a_status_and_its_tag(
    installation: Home, store: Store, delivery: Delivery, status: str, tag: str | None
) -> None:
    add_run(store, 0, 0.5, status=status, tag=tag, ended_ms=9000)
    everything(delivery)
    run = in_mlflow(installation)[0]
    assert (run.info.status, run.info.end_time) == (status, 9000)
    outcomes = {"pruned", "diverged", "failed", "budget", "interrupted"} & run.data.tags.keys()
    assert outcomes == ({tag} if tag else set())


def test_a_failure_has_its_traceback_as_an_artifact(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, status="FAILED", tag="failed", reason="Traceback: no memory", ended_ms=9000)
    everything(delivery)
    run = in_mlflow(installation)[0]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/traceback.txt") == (
        "Traceback: no memory"
    )


def test_a_run_that_went_on_before_its_interruption_was_told_shows_none(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, status="KILLED", tag="interrupted", ended_ms=9000)
    everything(delivery)
    change(store, 0, status="FINISHED", tag=None, ended_ms=9900, attempts=1)
    everything(delivery)
    run = in_mlflow(installation)[0]
    assert run.info.status == "FINISHED"
    assert "interrupted" not in run.data.tags
    assert run.data.tags["gatetune.workers_lost"] == "1"


def test_of_doubled_runs_the_one_that_was_written_down_stays(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    delivery.tracking.create(NewRun((JOB, 0), "of a repeated request", 1, None))
    add_run(store, 0, 0.5, status="FINISHED", ended_ms=9000)
    everything(delivery)
    assert len(list(delivery.tracking.runs())) == 3
    assert delivery.verify() == 1
    assert history(installation, 0) == [(1, 0.5, 2001)]


def test_a_status_that_a_late_request_changed_is_told_again(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, status="FINISHED", ended_ms=9000)
    everything(delivery)
    assert delivery.verify() == 0
    run_id = in_mlflow(installation)[0].info.run_id
    delivery.tracking.client.update_run(run_id, status="RUNNING")
    delivery.tracking.client.set_tag(run_id, "interrupted", "true")
    assert delivery.verify() == 1
    assert delivery.verify() == 0
    run = in_mlflow(installation)[0]
    assert (run.info.status, run.info.end_time) == ("FINISHED", 9000)


def test_a_tag_whose_status_never_arrived_is_taken_back(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    """As when MLflow went away in the middle of a stop, and the job goes on."""
    everything(delivery)
    run_id = in_mlflow(installation)[PARENT].info.run_id
    delivery.tracking.client.set_tag(run_id, "interrupted", "true")
    assert delivery.verify() == 1
    assert delivery.verify() == 0
    assert "interrupted" not in in_mlflow(installation)[PARENT].data.tags


def test_a_run_that_somebody_deleted_is_delivered_again_whole(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, 0.7, status="FINISHED", ended_ms=9000)
    everything(delivery)
    delivery.tracking.client.delete_run(in_mlflow(installation)[0].info.run_id)
    everything(connected(installation, store))
    assert history(installation, 0) == [(1, 0.5, 2001), (2, 0.7, 2002)]
    assert in_mlflow(installation)[0].data.params == {"layers": "1"}


def test_once_another_driver_owns_the_job_nothing_is_sent(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    everything(delivery)
    add_run(store, 0, 0.5)
    owned_by(store, "elsewhere:2:2:cd")
    with pytest.raises(LeaseLostError):
        delivery.deliver()
    assert set(in_mlflow(installation)) == {PARENT}


def test_a_damaged_row_waits_and_holds_nothing_up(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, 0.7, status="FINISHED", ended_ms=9000)
    with store.session() as session:
        session.get_one(JournalRow, (JOB, 0, 1)).metrics = '{"val_accuracy":'
    everything(delivery)
    assert history(installation, 0) == [(2, 0.7, 2002)]
    assert undelivered(store, JOB) == 1


def test_an_interrupted_run_goes_on_and_finishes(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    add_run(store, 0, 0.5, status="KILLED", tag="interrupted", ended_ms=9000)
    everything(delivery)
    change(store, 0, status="RUNNING", tag=None, ended_ms=None)
    everything(delivery)
    run = in_mlflow(installation)[0]
    assert run.info.status == "RUNNING"
    assert "interrupted" not in run.data.tags
    change(store, 0, status="FINISHED", ended_ms=9900)
    everything(delivery)
    run = in_mlflow(installation)[0]
    assert (run.info.status, run.info.end_time) == ("FINISHED", 9900)


def test_a_parent_that_was_only_created_is_told_what_the_job_was_made_of(
    installation: Home, store: Store, delivery: Delivery
) -> None:
    new = NewRun((JOB, PARENT), JOB, 1000, None)
    delivery.tracking.create(new)  # and here the process died
    everything(connected(installation, store))
    run = in_mlflow(installation)[PARENT]
    uri = run.info.artifact_uri
    assert "name: tiny" in mlflow.artifacts.load_text(f"{uri}/job.yaml")
    assert "torch==" in mlflow.artifacts.load_text(f"{uri}/packages.txt")
    assert run.inputs is not None
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["digits"]
