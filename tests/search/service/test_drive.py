"""The process that drives a claimed job: how it ends where the job cannot be run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from search.common.home import Home
from search.common.limits import Limits
from search.database.jobrow import JobRow
from search.database.lease import Lease, identity
from search.database.store import Store
from search.database.tables import PARENT, Job, JournalRow, Run
from search.driver.cluster import OWN, ClusterError, NoWorkersError, ResourcesError
from search.driver.shares import Share
from search.jobs.jobs import NotPossibleError
from search.service import drive
from search.service.queue import claim
from tests.search.conftest import add_job, make_spec
from trainables.faults import DatasetError

CLAIM = "elsewhere:1:2:ab"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    installation = Home.from_environment()
    installation.create()
    opened = Store.open(installation.database_url)
    add_job(opened, make_spec(), status="queued", supervised=True)
    claim(opened, CLAIM, Limits())
    yield opened
    opened.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Calls the program with something in place of the job's own work."""
    monkeypatch.setattr("search.service.drive.write_json", lambda *_, **__: None)

    def call(work: Callable[..., None], job_id: str = "tiny-0001", by: str = CLAIM) -> None:
        monkeypatch.setattr("search.service.drive.go_on", work)
        monkeypatch.setattr(sys, "argv", ["drive", job_id, by])
        drive.main()

    return call


def read(store: Store) -> Job:
    with store.session() as session:
        return session.get_one(Job, "tiny-0001")


def never(*_: object) -> None:
    raise AssertionError("the job is not ours to run")


def test_the_job_runs_under_a_lease_and_with_its_share(
    store: Store, run: Callable[..., None]
) -> None:
    worked: list[str | None] = []

    def work(*arguments: object) -> None:
        share = getattr(arguments[-1], "__self__", None)
        assert isinstance(share, Share)
        assert any(isinstance(one, Lease) and one is share.lease for one in arguments)
        worked.append(read(store).lease_owner)

    run(work)
    (owner,) = worked
    assert owner is not None
    assert owner.rsplit(":", 1)[0] == identity().rsplit(":", 1)[0]
    assert read(store).lease_owner is None


@pytest.mark.parametrize(
    "error",
    [
        ResourcesError("workers.gpus: a trial asks for 2 GPU"),
        DatasetError("data.source: must be a file"),
        NotPossibleError("job tiny-0001 began with other data"),
    ],
)
def test_a_job_that_can_never_run_is_failed_and_says_why(
    store: Store, run: Callable[..., None], error: Exception
) -> None:
    def work(*arguments: object) -> None:
        lease = next(one for one in arguments if isinstance(one, Lease))
        JobRow(lease).begin()  # as an earlier driver did, which was killed
        raise error

    with store.session() as session:
        session.get_one(Job, "tiny-0001").elapsed_s = 3000.0
    with pytest.raises(SystemExit, match="1"):
        run(work)
    job = read(store)
    assert (job.status, job.message, job.supervised) == ("failed", str(error), False)
    assert job.lease_owner is None
    assert job.elapsed_s >= 3000.0
    with store.session() as session:
        assert session.get_one(Run, ("tiny-0001", PARENT)).status == "FAILED"


@pytest.mark.parametrize(
    ("error", "trained", "own", "status"),
    [
        (NoWorkersError("the cluster has no worker"), False, False, "queued"),
        (ResourcesError("a trial asks for 1 GPU"), True, False, "queued"),
        (ResourcesError("a trial asks for 1 GPU"), False, False, "failed"),
        (ResourcesError("a trial asks for 1 GPU"), True, True, "failed"),
    ],
)
def test_a_job_waits_for_the_nodes_of_a_cluster_that_it_has_had(
    store: Store, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    error: Exception, trained: bool, own: bool, status: str,
) -> None:  # fmt: skip
    def work(*_: object) -> None:
        raise error

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    if own:
        monkeypatch.setenv(OWN, "1")
    if trained:
        with store.session() as session:
            session.add(
                JournalRow(
                    study="tiny-0001", trial=0, epoch=1, job_id="tiny-0001", metrics="{}",
                    pruner="{}", verdict="continue", time_ms=1,
                )
            )  # fmt: skip
    with suppress(SystemExit):
        run(work)
    job = read(store)
    assert (job.status, job.supervised) == (status, status == "queued")
    assert str(job.message).startswith(str(error))
    assert job.lease_owner is None


def test_a_job_that_waits_for_nodes_can_be_stopped(
    store: Store, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        with store.session() as session:
            session.get_one(Job, "tiny-0001").stop_requested = True
        raise NoWorkersError("the cluster has no worker")

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    run(work)
    job = read(store)
    assert (job.status, job.supervised, job.lease_owner) == ("stopped", False, None)
    assert job.message == "the cluster has no worker"


def test_a_job_that_cannot_run_now_is_left_to_the_next_driver(
    store: Store, run: Callable[..., None]
) -> None:
    def work(*_: object) -> None:
        raise ClusterError("no Ray answers")

    with pytest.raises(SystemExit, match="1"):
        run(work)
    job = read(store)
    assert (job.status, job.supervised, job.lease_owner) == ("queued", True, None)


def test_a_job_that_another_claimed_meanwhile_is_theirs(
    store: Store, run: Callable[..., None]
) -> None:
    run(never, by="elsewhere:1:2:cd")
    assert read(store).lease_owner == CLAIM


def test_a_job_that_was_deleted_meanwhile_is_no_failure(
    store: Store, run: Callable[..., None]
) -> None:
    run(never, job_id="tiny-0009")


def test_a_driver_that_seems_to_hang_says_where_it_is(
    store: Store, run: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    def hang(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)

    run(hang)
    assert "in hang" in capfd.readouterr().err
