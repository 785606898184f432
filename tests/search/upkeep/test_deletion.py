"""What is left of a job that is deleted: nothing, on this side of MLflow's own recycling bin."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import MetaData, select

from search.common.home import Home
from search.database.lease import Lease, identity
from search.database.result import Result
from search.database.store import Store
from search.jobs.jobs import JobNotFoundError, NotPossibleError, find
from search.tracking.tracking import Tracking, client_of
from search.upkeep.deletion import delete_job
from search.winner.registry import publish
from tests.search.conftest import add_job, dead_owner, make_spec, open_study, set_job
from tests.search.upkeep.doctor.conftest import live_through
from tests.search.winners import BETTER, GOOD, JOB, finish_job
from tests.servers import free_port
from trainables.datasets import SequenceDataset

OTHER = "tiny-0002"


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    yield opened
    opened.close()


def rows(store: Store) -> dict[str, list[str]]:
    """Return all that the database holds, the tables' versions excepted."""
    tables = MetaData()
    tables.reflect(store.engine)
    with store.engine.connect() as connection:
        found = {
            table.name: [str(row) for row in connection.execute(select(table))]
            for table in tables.sorted_tables
            if "version" not in table.name
        }
    return {name: content for name, content in found.items() if content}


def files_of(home: Home, job_id: str) -> list[str]:
    """Return the paths in the home, MLflow's artifacts excepted, that belong to a job."""
    paths = (path for path in home.path.rglob("*") if home.artifacts not in path.parents)
    return sorted(str(path.relative_to(home.path)) for path in paths if job_id in str(path))


def write_logs(home: Home, job_id: str) -> None:
    (home.path / "logs").mkdir(exist_ok=True)
    for name in ("driver", "delivery"):
        (home.path / "logs" / f"{job_id}-{name}.log").write_text("why")
    (home.path / "scratch" / job_id / "tune").mkdir(parents=True)


def versions(tracking: Tracking) -> list[str]:
    found = tracking.client.search_model_versions("name = 'tiny'")
    return sorted(str(version.version) for version in found)


def test_nothing_of_a_job_is_left(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    live_through(installation, store, digits)
    write_logs(installation, JOB)
    tracking = Tracking(installation, JOB, "tiny")
    before = rows(store)
    assert {"jobs", "journal", "runs", "studies", "trials", "trial_values"} <= set(before)
    assert files_of(installation, JOB)
    assert versions(tracking) == ["1"]
    assert sum(len(runs) for runs in tracking.existing().values()) > 6

    assert delete_job(installation, store, "tiny") == JOB

    assert rows(store) == {}
    assert files_of(installation, JOB) == []
    assert tracking.existing() == {}
    with pytest.raises(MlflowException, match="Registered Model with name=tiny not found"):
        tracking.client.get_registered_model("tiny")
    assert tracking.client.search_logged_models([tracking.experiment_id]) == []
    with pytest.raises(JobNotFoundError, match="no job is called 'tiny-0001'; there are none yet"):
        delete_job(installation, store, JOB)


def test_of_two_who_delete_a_job_at_once_one_does(
    ended: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = find(store, JOB)
    with Lease(store, JOB), pytest.raises(NotPossibleError, match="is being deleted, repaired or"):
        delete_job(ended, store, JOB)
    delete_job(ended, store, JOB)
    monkeypatch.setattr("search.upkeep.deletion.find", lambda *_: held)
    with pytest.raises(JobNotFoundError, match="job tiny-0001 is deleted already"):
        delete_job(ended, store, JOB)


def test_what_was_deleted_with_its_experiment_does_not_come_back(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    live_through(installation, store, digits)
    tracking = Tracking(installation, JOB, "tiny")
    before = len(list(tracking.runs()))
    tracking.client.delete_experiment(tracking.experiment_id)
    assert before > 6

    assert delete_job(installation, store, JOB) == JOB

    assert tracking.client.get_experiment(tracking.experiment_id).lifecycle_stage == "deleted"
    again = Tracking(installation, OTHER, "tiny")  # takes the experiment back
    assert again.experiment_id == tracking.experiment_id
    assert list(tracking.runs()) == []
    assert again.client.search_logged_models([again.experiment_id]) == []


def test_where_the_champion_is_deleted_the_one_before_takes_its_place(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    for job_id, found in ((JOB, GOOD), (OTHER, BETTER)):
        finish_job(installation, store, digits, found, job_id)
        publish(installation, store, job_id)
    set_job(store, status="finished")
    client = Tracking(installation, JOB, "tiny").client
    assert int(client.get_model_version_by_alias("tiny", "champion").version) == 2

    delete_job(installation, store, OTHER)

    assert int(client.get_model_version_by_alias("tiny", "champion").version) == 1


def test_other_jobs_of_the_name_keep_all_that_is_theirs(
    installation: Home, store: Store, digits: SequenceDataset
) -> None:
    found: dict[str, Result] = {OTHER: BETTER, JOB: GOOD}
    for job_id in (JOB, OTHER):
        finish_job(installation, store, digits, found[job_id], job_id)
        publish(installation, store, job_id)
        write_logs(installation, job_id)
    set_job(store, status="finished")
    theirs = files_of(installation, OTHER)
    tracking = Tracking(installation, OTHER, "tiny")
    runs = tracking.existing()

    delete_job(installation, store, JOB)

    left = rows(store)
    assert len(left["jobs"]) == len(left["studies"]) == len(left["runs"]) == 1
    assert OTHER in left["studies"][0]
    assert find(store, "tiny").id == OTHER
    assert files_of(installation, JOB) == []
    assert files_of(installation, OTHER) == theirs
    assert tracking.existing().keys() == runs.keys()
    assert versions(tracking) == ["2"]
    champion = tracking.client.get_model_version_by_alias("tiny", "champion")
    assert int(champion.version) == 2
    assert len(tracking.client.search_logged_models([tracking.experiment_id])) == 1


@pytest.fixture
def ended(installation: Home, store: Store) -> Home:
    """The installation, with a job that was stopped after its first trial began."""
    lease = Lease(store, add_job(store, make_spec(), JOB))
    with lease:
        study = open_study(store, lease, make_spec())
        study.ask()
        study.shut()
    set_job(store, status="stopped")
    installation.folder(JOB).write("notes", b"mine")
    write_logs(installation, JOB)
    return installation


@pytest.mark.parametrize(
    ("supervised", "status", "owner", "shown"),
    [
        (False, "running", "elsewhere:1:2:ab", "running"),
        (True, "running", "elsewhere:1:2:ab", "running"),
        (True, "running", "dead", "queued"),
        (True, "queued", None, "queued"),
        (True, "queued", "elsewhere:1:2:ab", "queued"),
    ],
)
def test_a_job_that_runs_or_waits_is_refused(
    ended: Home, store: Store, supervised: bool, status: str, owner: str | None, shown: str
) -> None:
    owner = dead_owner() if owner == "dead" else owner
    set_job(store, supervised=supervised, status=status, lease_owner=owner,
            lease_until=time.time() + 60)  # fmt: skip
    before, files = rows(store), files_of(ended, JOB)
    with pytest.raises(
        NotPossibleError, match=rf"job {JOB} is {shown}; `gatetune stop {JOB}` comes first"
    ):
        delete_job(ended, store, JOB)
    assert (rows(store), files_of(ended, JOB)) == (before, files)


def test_a_job_that_is_just_being_resumed_is_refused(ended: Home, store: Store) -> None:
    set_job(store, lease_owner=identity(), lease_until=time.time() + 60)
    before, files = rows(store), files_of(ended, JOB)
    with pytest.raises(NotPossibleError, match=f"job {JOB} is being deleted, repaired or started"):
        delete_job(ended, store, JOB)
    assert (rows(store), files_of(ended, JOB)) == (before, files)


def test_a_job_that_was_resumed_before_the_lease_was_taken_is_refused(
    ended: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = Lease.acquire

    def late(self: Lease) -> None:
        set_job(store, status="queued", supervised=True)
        acquire(self)

    monkeypatch.setattr(Lease, "acquire", late)
    with pytest.raises(NotPossibleError, match=f"job {JOB} is queued; `gatetune stop"):
        delete_job(ended, store, JOB)
    assert find(store, JOB).status == "queued"


def test_a_job_whose_own_command_was_killed_can_be_deleted(ended: Home, store: Store) -> None:
    set_job(store, status="running", lease_owner=dead_owner(), lease_until=time.time() + 60)
    delete_job(ended, store, JOB)
    assert rows(store) == {}


def test_without_mlflow_nothing_is_deleted(ended: Home, store: Store) -> None:
    away = replace(ended, tracking_uri=f"http://127.0.0.1:{free_port()}")
    before, files = rows(store), files_of(ended, JOB)
    with pytest.raises(
        NotPossibleError,
        match=f"job {JOB} was not deleted: its runs in MLflow cannot be deleted now .*no MLflow se",
    ):
        delete_job(away, store, JOB)
    job = find(store, JOB)
    assert (job.status, job.lease_owner) == ("stopped", None)
    assert {name: len(content) for name, content in rows(store).items()} == {
        name: len(content) for name, content in before.items()
    }
    assert files_of(ended, JOB) == files


def test_without_the_store_of_its_checkpoints_nothing_is_deleted(ended: Home, store: Store) -> None:
    away = replace(ended, checkpoints="s3://bucket/x?what=1")
    before = {name: len(content) for name, content in rows(store).items()}
    with pytest.raises(
        NotPossibleError,
        match=f"the files of job {JOB} cannot be reached: s3://bucket/x/{JOB} cannot be used: ",
    ):
        delete_job(away, store, JOB)
    assert {name: len(content) for name, content in rows(store).items()} == before
    assert find(store, JOB).lease_owner is None


def test_a_deletion_that_was_broken_off_is_finished_by_the_next(
    ended: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise OSError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr("search.upkeep.deletion.delete_rows", break_off)
        with pytest.raises(OSError, match="the disk is away"):
            delete_job(ended, store, JOB)
    assert find(store, JOB).status == "stopped"
    shutil.rmtree(ended.path / "logs")
    assert delete_job(ended, store, JOB) == JOB
    assert rows(store) == {}


def test_a_job_that_never_began_can_be_deleted(installation: Home, store: Store) -> None:
    for there in (True, False):
        add_job(store, make_spec(), JOB, status="stopped")
        assert delete_job(installation, store, JOB) == JOB
        assert rows(store) == {}
        assert installation.tracking_path.exists() == there
        assert client_of(installation).get_experiment_by_name("tiny") is None
        installation.tracking_path.unlink()
