"""The process that delivers: it goes round until all has arrived, whether or not MLflow answers."""

import io
import subprocess
import sys
from collections.abc import Callable

import pytest
from mlflow.exceptions import MlflowException

from search.common.home import Home
from search.database.store import Store, undelivered
from search.database.tables import Job
from search.service.serving import TrackingServer
from search.tracking.delivery import Orders, Rounds
from search.tracking.handover import Delivery
from tests.search.tracking.conftest import (
    JOB,
    OWNER,
    add_run,
    connected,
    forget,
    history,
    in_mlflow,
)
from tests.servers import free_port


def run(store: Store, connect: Callable[[], Delivery], orders: str) -> bool:
    return Rounds(store, JOB, OWNER, connect, Orders(io.StringIO(orders).readline)).run()


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
