"""Who owns a job, on every database that it may live in."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from search.common.processes import birth
from search.database import lease as module
from search.database.lease import (
    DURATION_S,
    Lease,
    LeaseHeldError,
    LeaseLostError,
    driver_is_alive,
    identity,
    is_dead,
)
from search.database.store import Store
from search.database.tables import Job
from tests.search.conftest import add_job, make_spec

HOLD = """
import sys
from search.database.lease import Lease
from search.database.store import Store
Lease(Store(sys.argv[1]), "tiny-0001").acquire()
print("held", flush=True)
sys.stdin.read()
"""


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def row(store: Store) -> Job:
    with store.session() as session:
        return session.get_one(Job, "tiny-0001")


def take_over(store: Store) -> None:
    with store.session() as session:
        session.execute(update(Job).values(lease_owner="elsewhere:1:2:ab", lease_until=9e9))


class TestOnEveryDatabase:
    @pytest.fixture
    def opened(self, opened: Store) -> Store:
        add_job(opened, make_spec())
        return opened

    def test_of_drivers_that_race_one_wins(self, opened: Store) -> None:
        drivers = 6
        barrier = threading.Barrier(drivers)

        def race(_: int) -> bool:
            store = Store(opened.url)
            lease = Lease(store, "tiny-0001")
            barrier.wait()
            try:
                lease.acquire()
            except LeaseHeldError:
                return False
            finally:
                store.close()
            return True

        with ThreadPoolExecutor(drivers) as pool:
            assert sum(pool.map(race, range(drivers))) == 1

    def test_the_lease_of_a_killed_process_is_taken_at_once(self, opened: Store) -> None:
        command = [sys.executable, "-c", HOLD, opened.url]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(LeaseHeldError, match=rf"another driver \(process {holder.pid} on"):
                Lease(opened, "tiny-0001").acquire()
            holder.kill()
        Lease(opened, "tiny-0001").acquire()
        assert f":{os.getpid()}:" in (row(opened).lease_owner or "")

    def test_a_lease_that_is_not_renewed_runs_out(self, opened: Store) -> None:
        clock = Clock()
        Lease(opened, "tiny-0001", clock).acquire()
        late = Lease(opened, "tiny-0001", clock)
        clock.now += DURATION_S
        with pytest.raises(LeaseHeldError, match="job tiny-0001 is run by another driver"):
            late.acquire()
        clock.now += 0.1
        late.acquire()
        assert row(opened).lease_owner == late.owner

    def test_a_check_renews_what_its_transaction_commits(self, opened: Store) -> None:
        clock = Clock()
        lease = Lease(opened, "tiny-0001", clock)
        lease.acquire()
        clock.now += 20
        with opened.session() as session:
            lease.check(session.connection())
        assert row(opened).lease_until == clock.now + DURATION_S

    def test_the_loser_commits_nothing(self, opened: Store) -> None:
        lease = Lease(opened, "tiny-0001")
        lease.acquire()
        take_over(opened)

        def write() -> None:
            with opened.session() as session:
                session.execute(update(Job).values(message="mine"))
                lease.check(session.connection())

        with pytest.raises(LeaseLostError, match="tiny-0001 was taken over by another driver"):
            write()
        assert row(opened).message is None

    def test_a_thread_renews_the_lease(
        self, opened: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DURATION_S", 0.06)
        renewed = threading.Event()

        def clock() -> float:
            if threading.current_thread().name == "lease":
                renewed.set()
            return 1000.0

        with Lease(opened, "tiny-0001", clock) as lease:
            assert row(opened).lease_owner == lease.owner
            assert renewed.wait(10)
        assert not lease.thread.is_alive()
        assert row(opened).lease_owner is None

    def test_the_thread_notices_a_takeover_and_leaves_it_alone(
        self, opened: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DURATION_S", 0.06)
        with Lease(opened, "tiny-0001") as lease:
            take_over(opened)
            lease.thread.join(10)
            assert not lease.thread.is_alive()
        assert row(opened).lease_owner == "elsewhere:1:2:ab"


def test_this_process_is_alive_and_its_number_alone_is_not_enough() -> None:
    host, pid, born, token = identity().rsplit(":", 3)
    assert int(born) > 0
    assert not is_dead(f"{host}:{pid}:{born}:{token}")
    assert is_dead(f"{host}:{pid}:{int(born) - 1}:{token}")
    assert not is_dead(f"elsewhere:{pid}:1:{token}")
    assert identity() != identity()


def test_a_process_that_is_gone_has_no_birth() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert birth(ended.pid) == ""
    assert birth(os.getpid())


def test_a_driver_is_alive_while_it_renews(store: Store) -> None:
    add_job(store, make_spec())
    assert not driver_is_alive(row(store), now=0.0)
    clock = Clock()
    Lease(store, "tiny-0001", clock).acquire()
    assert driver_is_alive(row(store), clock.now + DURATION_S)
    assert not driver_is_alive(row(store), clock.now + DURATION_S + 0.1)
