"""What a driver does with its job; whole jobs are in `test_main`."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from unittest.mock import Mock

import pytest
from ray.exceptions import RpcError
from rich.console import Console

from search.common.home import Home
from search.common.signals import Interrupted
from search.common.trial import SHOWN_OF_JOB
from search.database.lease import Lease
from search.database.store import Store, undelivered
from search.database.tables import PARENT, Job, Run
from search.driver.driver import Driver
from search.driver.progress import Progress
from search.driver.shares import whole
from search.study.cost import TYPICAL, Cost
from search.tracking.courier import Courier
from search.tracking.tracking import Tracking
from tests.search.conftest import add_job, make_spec
from tests.search.driver.test_patience import AWAY, Flaky


@pytest.fixture
def store(installation: Home) -> Iterator[Store]:
    opened = Store.open(installation.database_url)
    yield opened
    opened.close()


def make_driver(store: Store, lease: Lease) -> Driver:
    home = Home.from_environment()
    progress = Progress(Console(quiet=True), lease.job_id, str(home.path))
    return Driver(home, store, lease, make_spec(), None, progress)


class FarMlflow(Courier):
    """Delivers nothing, and sees what a job holds meanwhile."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.held: list[int | None] = []

    def drain(self) -> bool:
        with self.store.session() as session:
            self.held.append(session.get_one(Job, "tiny-0001").slots)
        return False

    def abandon(self) -> None:
        pass


def test_a_job_that_only_delivers_leaves_its_slots_to_others(store: Store) -> None:
    courier = FarMlflow(store)
    job_id = add_job(store, make_spec(), supervised=True, slots=2, slots_used=2)
    with Lease(store, job_id) as lease:
        driver = make_driver(store, lease)
        driver.courier = courier
        assert driver.conclude("failed", "why") == "failed"
    assert courier.held == [None]


@pytest.mark.parametrize(
    ("error", "supervised", "status", "message"),
    [
        (RpcError("no GCS"), True, "queued", "its Ray died, it goes on when the"),
        (RpcError("no GCS"), False, "failed", "no GCS"),
        (KeyError("batch"), True, "failed", "'batch'"),
    ],
)
def test_a_job_of_the_queue_outlives_its_ray(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, supervised: bool,
    status: str, message: str,
) -> None:  # fmt: skip
    def break_off() -> None:
        raise error

    monkeypatch.setattr("search.driver.driver.Courier", lambda *_: FarMlflow(store))
    with Lease(store, add_job(store, make_spec(), supervised=supervised)) as lease:
        driver = make_driver(store, lease)
        monkeypatch.setattr(driver, "work", break_off)
        with pytest.raises(type(error), match=r"no GCS|batch"):
            driver.run()
    with store.session() as session:
        job = session.get_one(Job, "tiny-0001")
        parent = session.get_one(Run, ("tiny-0001", PARENT))
    assert (job.status, job.supervised) == (status, status == "queued")
    assert str(job.message).startswith(message)
    assert job.lease_owner is None
    assert (parent.status, parent.tag) == SHOWN_OF_JOB[status]


@pytest.fixture
def job(store: Store) -> Iterator[Driver]:
    with Lease(store, add_job(store, make_spec())) as lease:
        yield make_driver(store, lease)


def test_workers_wait_for_the_confirmation_where_nobody_else_wants_their_places(
    job: Driver,
) -> None:
    kept = []
    for share, address in ((whole, None), (lambda *_: 1, None), (whole, "ray://far:10001")):
        job.share, job.home = share, replace(job.home, ray_address=address)
        with closing(job.stages({}, Cost(TYPICAL))) as stages:
            kept.append(next(stages).keeps_workers)
    assert kept == [True, False, False]


def test_what_the_end_takes_is_imported_once_no_trial_is_left_to_start(
    job: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = Mock()
    monkeypatch.setattr("search.driver.driver.import_rest", imported)
    with closing(job.stages({}, Cost(TYPICAL))) as stages:
        search = next(stages)
        assert job.importing is None
        for _ in range(2):
            search.when_last()
        assert job.importing is not None
        job.importing.result()
    imported.assert_called_once_with(job.home)


def test_a_store_that_stays_away_fails_the_job_and_no_trial(
    job: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.patience.PATIENCE_S", 0.0)
    monkeypatch.setattr(job.patiently, "folder", Flaky(99))
    monkeypatch.setattr(job, "data", object())
    monkeypatch.setattr(job, "choose", lambda _: job.patiently(Flaky(99).check))
    assert job.work() == (
        "failed", f"{AWAY}; no trial is lost; `gatetune resume {job.job_id}` goes on"
    )  # fmt: skip


def test_the_parents_end_is_told_without_a_look_at_all_runs(
    job: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.row.begin()
    monkeypatch.setattr(Tracking, "runs", Mock(side_effect=AssertionError))
    job.deliver_rest()
    job.row.tell_parent("finished")
    job.deliver_rest()
    assert undelivered(job.store, job.job_id) == 0


def test_a_stop_is_heard_while_a_store_is_away(
    job: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job.patiently, "folder", Flaky(99))
    job.stop.requested = True
    with pytest.raises(Interrupted):
        job.patiently(Flaky(99).check)


@pytest.mark.parametrize(
    ("supervised", "stop_requested", "status"),
    [(True, False, "queued"), (True, True, "stopped"), (False, False, "stopped")],
)
def test_a_job_of_the_queue_goes_back_to_it_unless_a_stop_was_asked_for(
    store: Store, supervised: bool, stop_requested: bool, status: str
) -> None:
    job_id = add_job(store, make_spec(), supervised=supervised)
    with Lease(store, job_id) as lease:
        with store.session() as session:
            session.get_one(Job, job_id).stop_requested = stop_requested
        ended, message = make_driver(store, lease).interrupted()
    assert ended == status
    assert ("resume" in str(message)) is (status == "stopped")
