"""What those who run a service ask it: is it well, is it ready, how much does it do."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from search.database.store import Store
from tests.search.conftest import add_job, dead_owner, train
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, begin
from tests.search.service.api.world import refused
from tests.servers import free_port


@dataclass
class Numbers:
    """What `/metrics` says."""

    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def of(self, name: str, **labels: str) -> float:
        return self.values[name, tuple(sorted(labels.items()))]


def numbers(served: Served) -> Numbers:
    answer = served.ask("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = Numbers()
    for family in text_string_to_metric_families(answer.text):
        for one in family.samples:
            found.values[one.name, tuple(sorted(one.labels.items()))] = one.value
    return found


def test_a_service_that_is_well(served: Served) -> None:
    well = {"status": "ok", "version": version("gatetune"), "trouble": []}
    assert served.get("/health") == served.get("/ready") == well


def test_a_service_in_trouble_is_healthy_and_not_ready(served: Served) -> None:
    trouble = ["MLflow's server is down; see x.log", "Ray does not start; see y.log"]
    served.service.trouble = lambda: trouble
    assert served.get("/health")["status"] == "ok"
    answer = served.ask("GET", "/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "trouble")
    assert answer.json()["trouble"] == trouble
    assert numbers(served).of("gatetune_trouble") == 2
    served.service.trouble = list
    assert served.ask("GET", "/ready").status_code == 200
    assert numbers(served).of("gatetune_trouble") == 0


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Served]:
    gone = Store(f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/x")
    with serving(fresh(tmp_path), store=gone) as service:
        yield service


def test_a_service_without_its_database(away: Served) -> None:
    assert away.get("/health")["status"] == "ok"
    answer = away.ask("GET", "/ready")
    assert answer.status_code == 503
    (said,) = answer.json()["trouble"]
    assert said.startswith("database postgresql+psycopg://me:***@127.0.0.1")
    assert "secret" not in answer.text
    refused(away.ask("GET", "/metrics"), 503, "database-away", "database postgresql")


def test_jobs_are_counted_by_what_they_are(served: Served) -> None:
    alive = {"lease_owner": "elsewhere:1:2:3", "lease_until": time.time() + 60, "slots_used": 3,
             "slots": 8, "mlflow_away_since": 1.0}  # fmt: skip
    dead = {"lease_owner": dead_owner(), "lease_until": time.time() + 60, "slots_used": 5}
    stories: list[dict[str, object]] = [
        {"status": "queued", "supervised": True},
        {"status": "running", "supervised": True} | dead,
        {"status": "running"} | alive,
        {"status": "running", "supervised": True} | alive,
        {"status": "running"} | dead,
        {"status": "stopped"},
        {"status": "failed"},
        {"status": "finished"},
        {"status": "finished"},
    ]
    for number, values in enumerate(stories):
        add_job(served.store, SPEC, f"job-{number}", **values)
    found = numbers(served)
    counted = {"queued": 2, "running": 2, "stopped": 2, "failed": 1, "finished": 2}
    assert {status: found.of("gatetune_jobs", status=status) for status in counted} == counted
    assert found.of("gatetune_trials_running") == 6
    assert found.of("gatetune_ray_used_ratio") == 0.75
    assert found.of("gatetune_jobs_without_mlflow") == 2


def test_what_mlflow_does_not_have_yet_is_counted(served: Served) -> None:
    assert numbers(served).of("gatetune_undelivered") == 0
    _, study = begin(served)
    train(study, 0.1, 0.2, 0.3)
    # Three epochs, the step of the parent run, and the statuses of both runs.
    assert numbers(served).of("gatetune_undelivered") == 6


def test_answers_are_counted_and_timed(served: Served) -> None:
    name, labels = "gatetune_http_requests_total", {"method": "GET", "status": "404"}
    served.ask("GET", "/jobs/nobody")
    before = numbers(served)
    served.ask("GET", "/jobs/nobody")
    after = numbers(served)
    assert after.of(name, **labels) == before.of(name, **labels) + 1
    timed = "gatetune_http_request_seconds_count"
    assert after.of(timed) >= before.of(timed) + 2


def test_numbers_name_no_job_and_no_owner(served: Served) -> None:
    add_job(served.store, SPEC, "secret-0001", owner="ada-lovelace")
    served.ask("GET", "/jobs/secret-0001")
    said = served.ask("GET", "/metrics").text
    assert "secret" not in said
    assert "ada-lovelace" not in said
