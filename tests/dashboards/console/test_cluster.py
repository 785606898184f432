from dataclasses import replace

import pytest

from dashboards.console import cluster
from dashboards.console.cluster import processors, state
from search.service.api.context import Service
from tests.dashboards.console.conftest import Living
from tests.search.conftest import add_job, make_spec
from tests.search.service.api.served import Served


@pytest.fixture
def service(empty: Served) -> Service:
    """A service whose Ray is elsewhere."""
    home = replace(empty.home, ray_address="elsewhere:6379")
    return replace(empty.service, home=home)


def test_of_a_long_queue_those_that_are_next_are_listed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SHOWN", 2)
    for number, priority in enumerate([0, 3, 0, 0]):
        add_job(service.store, make_spec(), f"job-{number}", status="queued", supervised=True,
                created_at=float(number), priority=priority)  # fmt: skip
    shown = state(service)
    assert [job["id"] for job in shown["queued"]] == ["job-1", "job-0"]
    assert shown["waiting"] == 4


def test_processors_are_told_by_the_job_that_has_room_for_most_of_them(service: Service) -> None:
    assert processors(service) is None
    for number, workers in enumerate(["{cpus: 2}", "{cpus: 4, gpus: auto}", "{gpus: 0.5}"]):
        add_job(service.store, make_spec(f"workers={workers}"), f"job-{number}",
                created_at=float(number), slots=4)  # fmt: skip
    assert processors(service) == 16.0


def test_machines_that_train_are_named_while_they_do(living: Living) -> None:
    (live,) = living.study.live.values()
    live.worker = "node-7"
    living.progress()
    ((node, trials, _),) = state(living.served.service)["nodes"]
    assert (node, trials) == ("node-7", 1)
