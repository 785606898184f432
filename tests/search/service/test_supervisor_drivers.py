"""A supervisor with real drivers: processes on one Ray."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from search.common.home import Home
from search.common.limits import Limits
from search.database.store import Store
from search.document.spec import parse_job
from search.jobs import jobs
from search.service.drivers import LocalDrivers, LocalProcess
from search.service.sharedray import SharedRay
from search.service.supervisor import Supervisor
from search.upkeep.doctor.screen import run as doctor
from tests.processes import processes
from tests.search.installations import installed
from tests.search.service.queued import read

TINY = """
name: {name}
data: {{source: digits, validation: 0.2}}
space:
  hidden_size: {{low: 4, high: 16, step: 4}}
  learning_rate: {{low: 1.0e-3, high: 1.0e-1, log: true}}
baseline: []
pruner: none
training: {{epochs: {epochs}, layers: 1, cell: gru}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""


class Watched(LocalDrivers):
    """Starts real drivers, and remembers for which jobs."""

    def __init__(self, home: Home, ray: SharedRay) -> None:
        super().__init__(home, ray)
        self.ids: list[str] = []

    def start(self, job_id: str, claim: str) -> LocalProcess:
        self.ids.append(job_id)
        return super().start(job_id, claim)


@dataclass
class Service:
    """An installation whose queue is run step by step."""

    home: Home
    store: Store
    drivers: Watched
    supervisor: Supervisor

    def submit(self, name: str, *, trials: int, epochs: int = 1) -> str:
        source = TINY.format(name=name, trials=trials, epochs=epochs)
        return jobs.create(self.store, parse_job(source), source, owner="ann", supervised=True)

    def shown(self, job_id: str) -> dict[str, Any]:
        return jobs.show(self.store, jobs.find(self.store, job_id))

    def step_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not done():
            assert time.monotonic() < deadline, [self.shown(one) for one in self.supervisor.started]
            self.supervisor.step()
            time.sleep(0.5)

    def has_ended(self, job_id: str) -> bool:
        job = read(self.store, job_id)
        return job.status not in {"queued", "running"} and job_id not in self.supervisor.started

    def driver(self, job_id: str) -> int:
        """Return the process id of a job's driver."""
        driving = self.supervisor.started[job_id].driving
        assert isinstance(driving, LocalProcess)
        return driving.process.pid


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("GATETUNE_", "MLFLOW_TRACKING")) or name == "RAY_ADDRESS":
                patch.delenv(name)
        patch.setenv("GATETUNE_HOME", str(tmp_path_factory.mktemp("service")))
        home = installed()
        store = Store.open(home.database_url)
        drivers = Watched(home, SharedRay(home, cpus=2))
        try:
            yield Service(home, store, drivers, Supervisor(store, drivers, Limits(jobs=2)))
        finally:
            drivers.close()
            store.close()


def test_two_jobs_share_one_ray_and_a_killed_driver_is_followed_by_another(
    service: Service,
) -> None:
    first, second = service.submit("first", trials=1), service.submit("second", trials=3)
    service.step_until(lambda: service.shown(second)["trials"]["complete"] >= 1)
    os.kill(service.driver(second), signal.SIGKILL)
    service.step_until(lambda: service.has_ended(first) and service.has_ended(second))
    assert sorted(service.drivers.ids) == [first, second, second]
    for job_id, trials in ((first, 1), (second, 3)):
        shown = service.shown(job_id)
        assert shown["status"] == "finished", shown["message"]
        assert shown["trials"]["complete"] == shown["trials"]["total"] == trials
        assert (shown["undelivered"], shown["model"]["alias"]) == (0, "champion")
        job = read(service.store, job_id)
        assert (job.supervised, job.lease_owner, job.slots) == (False, None, None)
    report = doctor(service.home, None, repair=False, quiet=True)
    assert {job.id for job in report.jobs} == {first, second}
    assert report.agree, report.as_json()
    service.drivers.close()
    left = [p for p in processes() if p.has_setting(f"GATETUNE_HOME={service.home.path}")]
    deadline = time.monotonic() + 30
    while any(process.is_alive for process in left):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
