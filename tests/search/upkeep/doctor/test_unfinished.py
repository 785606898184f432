"""Jobs that have not finished: what their drivers left, and what the next one will need."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.common.home import Home
from search.common.limits import Limits
from search.common.processes import birth, place
from search.database.lease import Lease
from search.database.storage import open_storage, read_trials
from search.database.store import Store
from search.database.tables import PARENT, Job, Run
from search.service.queue import claim
from search.tracking.tracking import Tracking
from search.upkeep.doctor.examination import Examiner, JobReport
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.treatment import doctor, treat
from tests.search.conftest import add_job, asked, make_spec, open_study, set_job, train
from tests.search.installations import installed
from tests.search.upkeep.doctor.test_examination import named
from trainables.checkpoint import Checkpoints
from trainables.folder import Folder

JOB = "tiny-0001"


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    yield opened
    opened.close()


@pytest.fixture
def examiner(installation: Home, store: Store) -> Iterator[Examiner]:
    optuna = open_storage(store)
    yield Examiner(installation, store, optuna, lambda *_: None)
    optuna.engine.dispose()


def die(store: Store, home: Home) -> None:
    """Leave a job as a driver does that is killed: one trial done, one running, one waiting."""
    spec = make_spec()
    add_job(store, spec, JOB)
    with store.session() as session:
        session.add(
            Run(study=JOB, trial=PARENT, job_id=JOB, name=JOB, parameters="{}", status="RUNNING",
                started_ms=1000)
        )  # fmt: skip
    lease = Lease(store, JOB)
    lease.acquire()
    study = open_study(store, lease, spec)
    train(study, 0.5, 0.6, 0.7, 0.8)
    running, waiting = asked(study), asked(study)
    for live in (running, waiting):
        study.report(live.number, 1, {"val_accuracy": 0.5, "val_loss": 0.5}, "running")
        Checkpoints(folder(home, live.number)).write(1, {"epoch": 1})
    study.requeue(waiting.number)
    study.shut()
    set_job(store, lease_owner=f"{place()}:1:1:ab")


def folder(home: Home, trial: int) -> Folder:
    return home.folder(JOB).child("search").child(f"{trial:06d}")


def states(store: Store) -> list[TrialState]:
    optuna = open_storage(store)
    try:
        return [trial.state for trial in read_trials(optuna, JOB)]
    finally:
        optuna.engine.dispose()


def test_what_a_killed_driver_left_is_closed_requeued_and_delivered(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    die(store, installation)
    found = examiner.examine(JOB)
    assert named(found.findings) >= {
        ("driver-dead", "job"),
        ("lease-left", "job"),
        ("trial-running", "trial 1"),
        ("run-undelivered", "parent run"),
        ("run-undelivered", "trial 0"),
    }
    assert treat(examiner, JOB).agree
    assert examiner.examine(JOB).findings == []
    assert states(store) == [TrialState.COMPLETE, TrialState.WAITING, TrialState.WAITING]
    with store.session() as session:
        job = session.get_one(Job, JOB)
    assert (job.status, job.lease_owner) == ("stopped", None)
    runs = Tracking(installation, JOB, "tiny").existing()
    shown = {
        key[1]: (run.info.status, "interrupted" in run.data.tags) for key, (run,) in runs.items()
    }
    assert shown == {
        PARENT: ("KILLED", True), 0: ("FINISHED", False), 1: ("KILLED", True), 2: ("KILLED", True)
    }  # fmt: skip


@pytest.mark.parametrize(("stop", "status"), [(False, "running"), (True, "stopped")])
def test_a_job_of_a_queue_stays_in_it_unless_it_was_to_stop(
    installation: Home, store: Store, examiner: Examiner, stop: bool, status: str
) -> None:
    die(store, installation)
    set_job(store, status="running", supervised=True, stop_requested=stop)
    assert (("driver-dead", "job") in named(examiner.examine(JOB).findings)) == stop
    assert treat(examiner, JOB).agree
    assert states(store)[1] is TrialState.WAITING
    taken = claim(store, "elsewhere:1:2:ab", Limits())
    with store.session() as session:
        job = session.get_one(Job, JOB)
    assert (job.status, job.supervised, taken is not None) == (status, not stop, not stop)


def test_a_job_that_is_resumed_after_it_was_examined_stays_resumed(
    installation: Home, store: Store, examiner: Examiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(store, installation)
    monkeypatch.setattr(
        "search.upkeep.doctor.treatment.free_lease",
        lambda *_: set_job(store, status="queued", supervised=True, lease_owner=None),
    )
    treat(examiner, JOB)
    with store.session() as session:
        job = session.get_one(Job, JOB)
    assert (job.status, job.supervised, job.message) == ("queued", True, None)


@pytest.mark.parametrize(
    "moment", ["examination.check_tracking", "treatment.free_lease"], ids=["reading", "mending"]
)
def test_what_a_driver_makes_meanwhile_is_kept(
    installation: Home, store: Store, examiner: Examiner, monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:  # fmt: skip
    """One that begins and ends while doctor reads MLflow, or before it mends."""
    die(store, installation)
    Checkpoints(folder(installation, 3)).write(1, {"epoch": 1})  # of no trial, so far
    first = True

    def resume(*_: object) -> None:
        nonlocal first
        if not first:
            return
        first = False
        with Lease(store, JOB) as lease:
            study = open_study(store, lease, make_spec())
            for _trial in range(2):  # that wait
                train(study, 0.5, 0.6, 0.7, 0.8)
            fresh = asked(study)
            study.report(fresh.number, 1, {"val_accuracy": 0.5, "val_loss": 0.5}, "running")
            Checkpoints(folder(installation, fresh.number)).write(1, {"epoch": 1})
            study.requeue(fresh.number)
            study.shut()

    monkeypatch.setattr(f"search.upkeep.doctor.{moment}", resume)
    assert treat(examiner, JOB).agree
    assert not first
    assert states(store)[3] is TrialState.WAITING
    assert folder(installation, 3).names() == ["epoch-000001.pt"]


@pytest.mark.usefixtures("home")
def test_the_same_in_postgresql(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATETUNE_DATABASE_URL", postgres_url)
    home = installed()
    store = Store.open(home.database_url)
    optuna = open_storage(store)
    try:
        die(store, home)
        there = Examiner(home, store, optuna, lambda *_: None)
        assert ("trial-running", "trial 1") in named(there.examine(JOB).findings)
        with store.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE journal SET metrics = '{' WHERE trial = 0 AND epoch = 2"
            )
        report = treat(there, JOB)
        assert report.agree
        (damaged,) = (one for one in report.findings if one.kind == "epoch-damaged")
        assert damaged.message.endswith("; the study still has the objective")
        assert there.examine(JOB).findings == []
    finally:
        optuna.engine.dispose()
        store.close()


@pytest.fixture
def stopped(installation: Home, store: Store, examiner: Examiner) -> JobReport:
    die(store, installation)
    return treat(examiner, JOB)


@pytest.mark.usefixtures("stopped")
def test_a_damaged_checkpoint_of_a_waiting_trial_is_deleted(
    installation: Home, examiner: Examiner
) -> None:
    its = folder(installation, 2)
    its.write("epoch-000001.pt", its.read("epoch-000001.pt")[:-1])
    assert named(examiner.examine(JOB).findings) == {("checkpoint-damaged", "trial 2")}
    assert treat(examiner, JOB).agree
    assert its.names() == []
    assert examiner.examine(JOB).findings == []


@pytest.mark.usefixtures("stopped")
def test_missing_weights_of_a_trial_that_may_win_cannot_be_repaired(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    set_job(store, document=make_spec("confirm.top=0").to_json())
    assert named(treat(examiner, JOB).findings) == {("weights-missing", "trial 0")}


@pytest.mark.usefixtures("stopped")
def test_a_damaged_row_of_a_waiting_trial_is_restored_from_mlflow(
    store: Store, examiner: Examiner
) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET metrics = '{' WHERE trial = 2")
    assert named(examiner.examine(JOB).findings) == {("epoch-damaged", "trial 2")}
    assert treat(examiner, JOB).agree


@pytest.mark.usefixtures("stopped")
def test_a_finished_job_has_no_trial_that_waits(store: Store, examiner: Examiner) -> None:
    set_job(store, status="finished", closed="hours")
    assert {("trial-unended", "trial 1"), ("result-missing", "champion")} <= named(
        examiner.examine(JOB).findings
    )


@pytest.mark.usefixtures("stopped")
def test_a_failed_job_whose_parent_was_not_told(store: Store, examiner: Examiner) -> None:
    set_job(store, status="failed")
    assert ("run-row-status", "parent run") in named(examiner.examine(JOB).findings)
    assert treat(examiner, JOB).agree


def test_a_job_that_waits_for_its_driver_agrees(store: Store, examiner: Examiner) -> None:
    add_job(store, make_spec(), JOB)
    set_job(store, status="queued")
    assert examiner.examine(JOB).findings == []


def test_a_job_whose_driver_lives_is_not_examined(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    die(store, installation)
    set_job(store, lease_owner=None)
    with Lease(store, JOB):
        report = treat(examiner, JOB)
    assert (report.running, report.agree, report.findings) == (True, True, [])
    assert states(store)[1] is TrialState.RUNNING


def test_an_mlflow_without_its_file_is_filled_again(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    die(store, installation)
    treat(examiner, JOB)
    client = Tracking(installation, JOB, "tiny").client
    client._tracking_client.store.engine.dispose()
    for path in installation.path.glob("mlflow.db*"):
        path.unlink()
    found = examiner.examine(JOB)
    assert ("run-missing-in-mlflow", "trial 0") in named(found.findings)
    assert not list(installation.path.glob("mlflow.db*"))


def test_an_mlflow_that_is_away_is_one_finding(
    installation: Home, store: Store, monkeypatch: pytest.MonkeyPatch, examiner: Examiner
) -> None:
    die(store, installation)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    away = Examiner(Home.from_environment(), store, examiner.optuna, lambda *_: None)
    report = treat(away, JOB)
    kinds = [one.kind for one in report.findings if not one.repaired]
    assert kinds.count("mlflow-unreachable") == 1
    (finding,) = (one for one in report.findings if one.kind == "mlflow-unreachable")
    assert "127.0.0.1:9" in finding.message
    assert "records of the job wait" in finding.message
    assert states(store)[1] is TrialState.WAITING


def test_folders_of_unknown_jobs_are_deleted_only_on_demand(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    unknown = installation.path / "checkpoints" / "gone-00ff"
    other = installation.path / "checkpoints" / "my notes"
    for path in (unknown, other):
        path.mkdir()
    report = doctor(examiner, [], repair=False, everything=True)
    assert [(one.kind, one.subject) for one in report.findings] == [
        ("job-unknown", "file checkpoints/gone-00ff")
    ]
    assert not report.agree
    assert unknown.exists()
    assert doctor(examiner, [], repair=True, everything=True).agree
    assert (unknown.exists(), other.exists()) == (False, True)


def test_files_of_unknown_jobs_are_kept(
    installation: Home, store: Store, examiner: Examiner
) -> None:
    """The database may be new, or older than they."""
    weights = installation.path / "checkpoints" / "gone-00ff" / "search" / "000001" / "best"
    scratch = installation.path / "scratch" / "gone-00ff" / "tune"
    for path in (weights, scratch):
        path.parent.mkdir(parents=True)
        path.touch()
    report = doctor(examiner, [], repair=True, everything=True)
    assert [(one.subject, one.repaired) for one in report.findings] == [
        ("file checkpoints/gone-00ff", False),
        ("file scratch/gone-00ff", True),
    ]
    assert (weights.exists(), scratch.exists()) == (True, False)


def test_folders_that_another_installation_may_own_are_left_alone(
    installation: Home, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    examiner: Examiner,
) -> None:  # fmt: skip
    monkeypatch.setenv("GATETUNE_CHECKPOINTS", str(tmp_path / "shared"))
    (tmp_path / "shared" / "theirs-00ff").mkdir(parents=True)
    shared = Examiner(Home.from_environment(), store, examiner.optuna, lambda *_: None)
    assert doctor(shared, [], repair=True, everything=True).findings == []
    assert (tmp_path / "shared" / "theirs-00ff").exists()


@pytest.fixture
def delivery() -> Iterator[Callable[[Home], "subprocess.Popen[bytes]"]]:
    """Starts what looks like a delivery process."""
    started = []

    def start(home: Home) -> "subprocess.Popen[bytes]":
        code = "import sys, time; print(1, flush=True); time.sleep(300)"
        folder = home.path / "fake"
        package = folder / "search" / "tracking"
        package.mkdir(parents=True)
        for parent in (package.parent, package):
            (parent / "__init__.py").touch()
        (package / "courier.py").write_text(code)
        process = subprocess.Popen(
            [sys.executable, "-m", "search.tracking.courier", JOB, "owner"],
            cwd=folder, stdout=subprocess.PIPE, env=os.environ | {"GATETUNE_HOME": str(home.path)},
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        process.stdout.read(1)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.usefixtures("stopped")
def test_a_delivery_without_a_driver_is_ended(
    installation: Home, examiner: Examiner, delivery: Callable[[Home], "subprocess.Popen[bytes]"]
) -> None:
    process = delivery(installation)
    found: list[Finding] = examiner.examine(JOB).findings
    assert named(found) == {("process-left", f"process {process.pid}")}
    assert treat(examiner, JOB).agree
    assert process.wait(10) == -signal.SIGKILL
    assert birth(process.pid) == ""


def test_a_lease_that_names_no_driver(store: Store, examiner: Examiner) -> None:
    add_job(store, make_spec(), JOB)
    set_job(store, status="queued", lease_owner="nobody", lease_until=time.time() + 60)
    assert named(examiner.examine(JOB).findings) == {("lease-left", "job")}
    assert treat(examiner, JOB).agree
