"""A database that has gone away: every answer says so, and none is an accident."""

from collections.abc import Iterator

import pytest
from optuna.exceptions import StorageInternalError

from search.database.store import Store
from tests.search.conftest import DOCUMENT, add_job
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC
from tests.search.service.api.world import refused
from tests.servers import free_port

LAUNCH = {"document": DOCUMENT}

OF_A_JOB = ("", "/trials", "/trials/0/metrics", "/events", "/artifacts", "/figures/history")
READS = ["/jobs", "/doctor", *(f"/jobs/tiny{path}" for path in OF_A_JOB)]


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose database has gone away."""
    gone = Store(f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/x")
    with serving(fresh(tmp_path_factory.mktemp("away")), store=gone) as service:
        yield service


@pytest.mark.parametrize("path", READS)
def test_every_answer_says_so(away: Served, path: str) -> None:
    answer = away.ask("GET", path)
    refused(answer, 503, "database-away", "connection")
    assert "secret" not in answer.text


def test_so_does_a_launch(away: Served) -> None:
    refused(away.ask("POST", "/jobs", json=LAUNCH), 503, "database-away", "connection")


def test_and_a_token_that_cannot_be_looked_up(away: Served) -> None:
    answer = away.ask("GET", "/jobs", token="gt_0a_x")  # noqa: S106
    refused(answer, 503, "database-away", "connection")


def test_and_a_study_that_cannot_be_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> object:
        raise StorageInternalError("An exception is raised during the commit.")

    add_job(served.store, SPEC)
    monkeypatch.setattr("search.database.storage.open_storage", gone)
    refused(
        served.ask("GET", "/jobs/tiny/figures/history"),
        503,
        "database-away",
        "An exception is raised",
    )
