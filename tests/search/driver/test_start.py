import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ray.tune.execution import class_cache

from search.common.faults import SpecError
from search.common.home import Home
from search.database.store import Store, StoreError
from search.driver.cluster import ClusterError
from search.driver.start import (
    TrackingUnreachableError,
    check_database,
    check_tracking,
    ray_and_data,
    resume,
    started_from,
)
from search.jobs.jobs import JobNotFoundError, find, open_existing
from tests.search.conftest import add_job, make_spec
from tests.servers import free_port
from trainables.faults import DatasetError


class Health(BaseHTTPRequestHandler):
    """Answers as MLflow's server does where there is one, else 404."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/mlflow/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def tracked(monkeypatch: pytest.MonkeyPatch, uri: str) -> Home:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return Home.from_environment()


def test_a_server_that_answers_will_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    check_tracking(tracked(monkeypatch, f"{server}/mlflow"))
    check_tracking(tracked(monkeypatch, f"{server}/mlflow/"))
    with pytest.raises(TrackingUnreachableError, match="404"):
        check_tracking(tracked(monkeypatch, server))


def test_a_port_where_nothing_listens(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TrackingUnreachableError, match=f"answers at MLFLOW_TRACKING_URI={uri}: "):
        check_tracking(tracked(monkeypatch, uri))


def test_a_file_needs_no_server(home: Path) -> None:
    check_tracking(Home.from_environment())
    check_database(Home.from_environment())
    assert not home.exists()


def test_a_file_that_cannot_be_used_is_named_before_anything_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = home.parent / "elsewhere"
    monkeypatch.setenv("GATETUNE_DATABASE_URL", f"sqlite:///{elsewhere / 'search.db'}")
    with pytest.raises(StoreError, match=r"cannot use the database .*unable to open database file"):
        check_database(Home.from_environment())
    assert not elsewhere.exists()
    elsewhere.mkdir()
    check_database(Home.from_environment())
    assert not list(elsewhere.iterdir())
    (elsewhere / "search.db").write_text("no database, but long enough to look like one " * 9)
    with pytest.raises(StoreError, match=r"cannot use the database .*file is not a database"):
        check_database(Home.from_environment())


def test_a_database_server_that_does_not_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATETUNE_DATABASE_URL", f"postgresql://127.0.0.1:{free_port()}/search")
    with pytest.raises(StoreError, match=r"cannot use the database postgresql\+psycopg://127"):
        check_database(Home.from_environment())


@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_only_on_a_local_ray_tune_names_no_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    for name in ("search.driver.cluster.cluster", "search.driver.cluster.check_resources"):
        monkeypatch.setattr(name, lambda *_, **__: nullcontext())
    for name in ("search.driver.start.load_data", "trainables.trial.Shared"):
        monkeypatch.setattr(name, lambda *_: None)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with ray_and_data(make_spec(), Home.from_environment()):
        assert bool(class_cache.DEFAULT_ENV_VARS) == bool(address)


def test_data_that_cannot_be_loaded_beside_ray_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("search.driver.cluster.cluster", "search.driver.cluster.check_resources"):
        monkeypatch.setattr(name, lambda *_, **__: nullcontext())
    broken = make_spec("training.head=all-steps", "data.source=no-such-data.npz")
    with (
        pytest.raises(DatasetError, match=r"no-such-data\.npz"),
        ray_and_data(broken, Home.from_environment()),
    ):
        pytest.fail("there is no data")


def test_who_resumes_a_job_of_the_queue_here_ends_it_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Home.from_environment()
    installation.create()
    store = Store.open(installation.database_url)
    add_job(store, make_spec(), status="queued", supervised=True)

    def work(*_: object) -> None:
        raise ClusterError("no Ray answers")

    monkeypatch.setattr("search.driver.start.go_on", work)
    with pytest.raises(ClusterError):
        resume("tiny")
    job = find(store, "tiny")
    store.close()
    assert (job.status, job.supervised) == ("stopped", False)


def test_a_warm_start_where_nothing_was_launched_is_a_fault_of_the_document(home: Path) -> None:
    with pytest.raises(SpecError, match=f"warm_start: there are no jobs in {home}"):
        started_from(Home.from_environment(), make_spec("warm_start=[nowhere]"))
    assert not home.exists()


def test_where_nothing_was_launched_nothing_is_created(home: Path) -> None:
    with pytest.raises(JobNotFoundError, match=f"there are no jobs in {home}; `gatetune launch`"):
        open_existing(Home.from_environment())
    assert not home.exists()
