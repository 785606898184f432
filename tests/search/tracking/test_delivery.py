"""What stands in the journal arrives in MLflow once, whatever happens on the way."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import update

from search.common.home import Home
from search.common.trial import MLFLOW_STATUS, Verdict
from search.database.lease import LeaseLostError
from search.database.store import Store, undelivered
from search.database.tables import PARENT, Job, JournalRow, Run
from search.service.serving import TrackingServer
from search.tracking.delivery import Orders, Rounds
from search.tracking.handover import Delivery
from search.tracking.tracking import NewRun, Tracking
from tests.search.conftest import add_job, make_spec
from tests.servers import free_port

JOB = "tiny-0001"
OWNER = "elsewhere:1:2:ab"


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    add_job(opened, make_spec(), JOB)
    owned_by(opened, OWNER)
    add_run(opened, PARENT)
    yield opened
    opened.close()


@pytest.fixture
def delivery(installation: Home, store: Store) -> Delivery:
    return connected(installation, store)


def connected(home: Home, store: Store) -> Delivery:
    made = Delivery(store, JOB, OWNER, Tracking(home, JOB, "tiny"))
    made.start()
    return made


def owned_by(store: Store, owner: str) -> None:
    with store.session() as session:
        session.execute(update(Job).values(lease_owner=owner, lease_until=9e9))


def run(store: Store, connect: Callable[[], Delivery], orders: str) -> bool:
    return Rounds(store, JOB, OWNER, connect, Orders(io.StringIO(orders).readline)).run()


def add_run(store: Store, trial: int, *values: float, **columns: Any) -> None:
    """Add a trial with a value of `val_accuracy` for each epoch."""
    with store.session() as session:
        session.add(
            Run(
                study=JOB,
                trial=trial,
                job_id=JOB,
                name=f"trial {trial}",
                parameters='{"layers": 1}',
                started_ms=1000 + trial,
                **{"status": "RUNNING", **columns},
            )
        )
        session.add_all(
            JournalRow(
                study=JOB,
                trial=trial,
                epoch=epoch,
                job_id=JOB,
                time_ms=2000 + epoch,
                metrics=json.dumps({"val_accuracy": value, "epoch_s": 0.1}),
                verdict="continue",
                pruner="{}",
            )
            for epoch, value in enumerate(values, start=1)
        )


def change(store: Store, trial: int, **columns: Any) -> None:
    with store.session() as session:
        session.execute(update(Run).where(Run.trial == trial).values(**columns))


def forget(store: Store) -> None:
    """Leave the database as if the process had died before it noted what MLflow has."""
    with store.session() as session:
        session.execute(update(JournalRow).values(delivered=False))
        session.execute(update(Run).values(delivered=None, run_id=None))


def everything(delivery: Delivery) -> None:
    while delivery.deliver():
        pass


def in_mlflow(home: Home) -> dict[int, mlflow.entities.Run]:
    """Return the job's runs by trial; fails where a trial has two."""
    runs = list(Tracking(home, JOB, "tiny").runs())
    by_trial = {int(run.data.tags.get("gatetune.trial", PARENT)): run for run in runs}
    assert len(by_trial) == len(runs)
    return by_trial


def history(home: Home, trial: int) -> list[tuple[int, float, int]]:
    client = Tracking(home, JOB, "tiny").client
    run_id = in_mlflow(home)[trial].info.run_id
    found = client.get_metric_history(run_id, "val_accuracy")
    return sorted((metric.step, metric.value, metric.timestamp) for metric in found)


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


class Away:
    """MLflow that answers only the tries from ``back`` on, as a server that is started late."""

    def __init__(
        self,
        real: Callable[[], Delivery],
        back: int,
        says: Callable[[str], Exception] = MlflowException,
    ) -> None:
        self.real, self.back, self.tries, self.says = real, back, 0, says

    def __call__(self) -> Delivery:
        self.tries += 1
        if self.tries < self.back:
            raise self.says("connection refused")
        return self.real()


def test_a_drain_delivers_all_and_ends(installation: Home, store: Store) -> None:
    add_run(store, 0, 0.5)
    assert run(store, lambda: connected(installation, store), "drain\n")
    assert history(installation, 0) == [(1, 0.5, 2001)]
    assert undelivered(store, JOB) == 0


def test_while_mlflow_is_away_rows_wait_and_later_arrive(installation: Home, store: Store) -> None:
    add_run(store, 0, 0.5)
    away = Away(lambda: connected(installation, store), back=2)
    assert run(store, away, "drain\n")
    assert away.tries == 2
    with store.session() as session:
        assert session.get_one(Job, JOB).mlflow_away_since is None
    assert history(installation, 0) == [(1, 0.5, 2001)]


class RefusedError(Exception):
    """As a library for object stores has its own."""


@pytest.mark.parametrize("says", [MlflowException, RefusedError])
def test_a_drain_gives_up_on_an_mlflow_that_stays_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, says: Callable[[str], Exception]
) -> None:
    monkeypatch.setattr("search.tracking.delivery.PATIENCE_S", 0.0)
    add_run(store, 0, 0.5)
    away = Away(lambda: pytest.fail("never back"), back=99, says=says)
    assert not run(store, away, "drain\n")
    with store.session() as session:
        job = session.get_one(Job, JOB)
    assert job.mlflow_away_since is not None
    assert "connection refused" in (job.mlflow_error or "")
    assert undelivered(store, JOB) == 3


def test_the_end_of_standard_input_ends_it_with_the_rest_waiting(store: Store) -> None:
    add_run(store, 0, 0.5)
    orders = Orders(io.StringIO("").readline)
    orders.wait(10)
    assert orders.abandoned
    assert not Rounds(
        store, JOB, OWNER, lambda: pytest.fail("nothing is to be delivered"), orders
    ).run()
    assert undelivered(store, JOB) == 3


def test_the_process_delivers_over_http_and_prints_nothing(
    installation: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real server, a real process, and an epoch whose delivery was not noted."""
    add_run(store, 0, 0.5, 0.7, status="FINISHED", ended_ms=9000)
    server = TrackingServer(installation, free_port())
    try:
        server.begin()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-m", "search.tracking.courier", JOB, OWNER],
                input="drain\n",
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert undelivered(store, JOB) == 0
            served = Home.from_environment()
            assert history(served, 0) == [(1, 0.5, 2001), (2, 0.7, 2002)]
            assert in_mlflow(served)[0].info.status == "FINISHED"
            forget(store)
    finally:
        server.end()
