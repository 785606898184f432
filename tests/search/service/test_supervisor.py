"""What a supervisor decides, with drivers that do nothing."""

import logging
import time
from dataclasses import dataclass, field

import pytest
from sqlalchemy import delete

from search.common.limits import Limits
from search.database.store import Store, StoreError
from search.database.tables import JournalRow
from search.driver.cluster import ClusterError
from search.jobs.jobs import request_stop
from search.service.queue import CLAIM_S, FAILED_STARTS
from search.service.supervisor import WAKING_S, Supervisor
from tests.search.conftest import add_job, dead_owner, set_job
from tests.search.service.queued import SPEC, read


@dataclass
class FakeDriving:
    """A driver that ends when it is told to."""

    claim: str
    gone: bool = False

    def ended(self) -> bool:
        return self.gone

    def last_words(self) -> str:
        return "KeyError: 'batch'"


@dataclass
class FakeDrivers:
    """Starts drivers that do nothing."""

    started: list[tuple[str, FakeDriving]] = field(default_factory=list)
    ray_trouble: str | None = None
    start_trouble: str | None = None
    closed: bool = False
    own_ray: bool = False

    def ready(self) -> None:
        if self.ray_trouble:
            raise ClusterError(self.ray_trouble)

    def start(self, job_id: str, claim: str) -> FakeDriving:
        if self.start_trouble:
            raise ClusterError(self.start_trouble)
        driving = FakeDriving(claim)
        self.started.append((job_id, driving))
        return driving

    def close(self) -> None:
        self.closed = True

    @property
    def ids(self) -> list[str]:
        return [job_id for job_id, _ in self.started]

    def last(self, job_id: str) -> FakeDriving:
        return next(driving for one, driving in reversed(self.started) if one == job_id)


@pytest.fixture
def drivers() -> FakeDrivers:
    return FakeDrivers()


@pytest.fixture
def supervisor(store: Store, drivers: FakeDrivers) -> Supervisor:
    return Supervisor(store, drivers, Limits(jobs=2))


def add(store: Store, *job_ids: str) -> None:
    for number, job_id in enumerate(job_ids):
        add_job(store, SPEC, job_id, status="queued", supervised=True, created_at=float(number))


def report_epoch(store: Store, job_id: str) -> None:
    with store.session() as session:
        session.execute(delete(JournalRow))
        session.add(
            JournalRow(
                study=job_id, trial=0, epoch=1, job_id=job_id, metrics="{}", pruner="{}",
                verdict="continue", time_ms=int(time.time() * 1000) + 1,
            )
        )  # fmt: skip


class TestStep:
    def test_as_many_drivers_are_started_as_the_limit_allows(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        supervisor.step()
        supervisor.step()
        assert drivers.ids == ["a", "b"]

    def test_a_driver_gets_the_claim_that_the_job_bears(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b")
        supervisor.step()
        claims = [driving.claim for _, driving in drivers.started]
        assert claims == [read(store, job_id).lease_owner for job_id in "ab"]
        assert claims[0] != claims[1]

    def test_a_driver_that_takes_long_to_begin_is_waited_for(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        supervisor.step()
        for _ in range(2):
            set_job(store, "a", lease_until=0.0)
            supervisor.step()
            assert read(store, "a").lease_until > time.time() + CLAIM_S / 2
            supervisor.started["a"].renewed -= CLAIM_S
        assert drivers.ids == ["a"]

    def test_a_job_that_is_stopped_before_its_driver_begins_gets_no_other(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        supervisor.step()
        request_stop(store, "a")
        drivers.last("a").gone = True
        supervisor.step()
        assert (read(store, "a").status, drivers.ids, supervisor.started) == ("stopped", ["a"], {})

    def test_the_end_of_a_job_makes_room_for_the_next(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        supervisor.step()
        set_job(store, "a", status="finished", supervised=False, lease_owner=None)
        assert not supervisor.left.is_set()
        drivers.last("a").gone = True
        supervisor.step()
        assert supervisor.left.is_set()
        assert drivers.ids == ["a", "b", "c"]
        assert set(supervisor.started) == {"b", "c"}
        assert read(store, "a").failed_starts == 0

    @pytest.mark.parametrize("began", [False, True])
    def test_a_job_whose_driver_died_gets_another_before_all_others(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor, began: bool
    ) -> None:
        add(store, "a", "b", "c")
        supervisor.step()
        if began:
            set_job(store, "a", status="running", lease_owner=dead_owner())
        first = drivers.last("a")
        first.gone = True
        supervisor.step()
        assert drivers.ids == ["a", "b", "a"]
        assert drivers.last("a").claim == read(store, "a").lease_owner != first.claim

    def test_a_job_whose_drivers_all_die_at_once_is_failed_with_their_last_words(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        for _ in range(FAILED_STARTS):
            supervisor.step()
            drivers.last("a").gone = True
        supervisor.step()
        assert drivers.ids == ["a"] * FAILED_STARTS
        job = read(store, "a")
        assert job.status == "failed"
        assert str(job.message).endswith("KeyError: 'batch'")

    def test_a_driver_elsewhere_that_was_killed_counts_once_its_lease_has_lapsed(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        supervisor.step()
        held = {"lease_owner": "elsewhere:1:2:ab", "lease_until": time.time() + 20}
        set_job(store, "a", status="running", **held)
        drivers.last("a").gone = True
        supervisor.step()
        assert read(store, "a").failed_starts == 0
        assert set(supervisor.started) == {"a"}
        set_job(store, "a", lease_until=time.time() - 1)
        supervisor.step()
        assert read(store, "a").failed_starts == 1
        assert drivers.ids == ["a", "a"]

    def test_on_its_own_ray_a_supervisor_counts_what_runs_here_alone(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        held = {"lease_owner": "elsewhere:1:2:ab", "lease_until": time.time() + 20}
        for job_id in "ab":
            set_job(store, job_id, status="running", slots=1, **held)
        supervisor.step()
        assert drivers.ids == []
        drivers.own_ray = True
        supervisor.step()
        assert drivers.ids == ["c"]

    def test_after_a_sleep_drivers_have_a_while_to_renew_their_leases(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        supervisor.slept_s -= 3600
        for _ in range(2):
            supervisor.step()
            assert drivers.ids == []
        assert 0 < supervisor.waking_until - time.monotonic() <= WAKING_S
        supervisor.waking_until = time.monotonic()
        supervisor.step()
        assert drivers.ids == ["a"]

    def test_a_driver_that_dies_now_and_then_is_always_followed(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        for _ in range(2 * FAILED_STARTS):
            supervisor.step()
            report_epoch(store, "a")
            drivers.last("a").gone = True
        supervisor.step()
        assert drivers.ids == ["a"] * (2 * FAILED_STARTS + 1)

    def test_without_ray_nothing_is_claimed_but_ends_are_noted(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        supervisor.step()
        set_job(store, "a", status="finished", supervised=False, lease_owner=None)
        drivers.last("a").gone = True
        drivers.ray_trouble = "no Ray answers"
        with pytest.raises(ClusterError, match="no Ray answers"):
            supervisor.step()
        assert set(supervisor.started) == {"b"}
        assert read(store, "c").lease_owner is None

    def test_a_job_whose_driver_cannot_be_started_stays_free(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        drivers.start_trouble = "Ray took no driver"
        with pytest.raises(ClusterError, match="Ray took no driver"):
            supervisor.step()
        job = read(store, "a")
        assert (job.status, job.lease_owner, job.failed_starts) == ("queued", None, 0)
        drivers.start_trouble = None
        supervisor.step()
        assert drivers.ids == ["a"]

    def test_of_two_supervisors_one_runs_a_job(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        others = FakeDrivers()
        other = Supervisor(store, others, Limits(jobs=3))
        supervisor.step()
        other.step()
        supervisor.step()
        assert (drivers.ids, others.ids) == (["a", "b"], ["c"])

    def test_what_a_dead_supervisor_left_is_taken_over(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        set_job(store, "a", lease_owner=dead_owner(), lease_until=time.time() + CLAIM_S)
        set_job(store, "b", lease_owner="elsewhere:1:2:ab", lease_until=time.time() + CLAIM_S)
        supervisor.step()
        assert drivers.ids == ["a"], "of the other host nothing is known, and it counts"
        set_job(store, "b", lease_until=0.0)
        supervisor.step()
        assert drivers.ids == ["a", "b"]

    def test_a_job_that_another_took_over_is_theirs(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        """As when this host was frozen for longer than a lease."""
        add(store, "a")
        supervisor.step()
        set_job(store, "a", lease_owner="elsewhere:1:2:ab", lease_until=time.time() + 30)
        drivers.last("a").gone = True
        supervisor.step()
        assert drivers.ids == ["a"]
        assert read(store, "a").failed_starts == 0


class TestRun:
    def test_trouble_is_told_once_and_so_is_its_end(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor,
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("search.service.supervisor.LOOK_S", 0.0)
        seen: list[str | None] = []
        troubles = iter(["no Ray answers\nat all", "no Ray answers", None, None])

        def ready() -> None:
            seen.append(supervisor.trouble)
            drivers.ray_trouble = next(troubles, None)
            if len(seen) == 5:
                supervisor.end()
            FakeDrivers.ready(drivers)

        monkeypatch.setattr(drivers, "ready", ready)
        with caplog.at_level(logging.INFO, logger="gatetune.supervisor"):
            supervisor.run()
        assert seen == [None, "no Ray answers", "no Ray answers", None, None]
        assert [record.message for record in caplog.records] == [
            "no job can be started: no Ray answers", "jobs can be started again",
        ]  # fmt: skip
        assert drivers.closed

    @pytest.mark.parametrize("error", [StoreError("away"), TypeError("away")])
    def test_whatever_goes_wrong_ends_nothing(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor,
        monkeypatch: pytest.MonkeyPatch, error: Exception,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("search.service.supervisor.LOOK_S", 0.0)
        looks: list[str | None] = []

        def away(*_: object, **__: object) -> None:
            looks.append(supervisor.trouble)
            if len(looks) == 2:
                supervisor.end()
            raise error

        monkeypatch.setattr("search.service.supervisor.claim", away)
        supervisor.run()
        assert looks == [None, "away"]
        assert drivers.closed
