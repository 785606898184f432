"""What a supervisor decides, and the real thing: drivers as processes on one Ray."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from search import jobs
from search.cluster import ClusterError
from search.doctor.screen import run as doctor
from search.drivers import Drivers, LocalDrivers, LocalProcess
from search.home import Home
from search.limits import Limits
from search.queue import CLAIM_S, FAILED_STARTS
from search.sharedray import SharedRay
from search.spec import parse_job
from search.store import Store, StoreError
from search.supervisor import Supervisor
from search.tables import Job
from tests.processes import processes
from tests.search.conftest import add_job, dead_owner, make_spec
from tests.search.installations import installed

SPEC = make_spec()

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


def read(store: Store, job_id: str) -> Job:
    with store.session() as session:
        return session.get_one(Job, job_id)


def set_job(store: Store, job_id: str, **values: object) -> None:
    with store.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


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

    def test_the_end_of_a_job_makes_room_for_the_next(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a", "b", "c")
        supervisor.step()
        set_job(store, "a", status="finished", supervised=False, lease_owner=None)
        drivers.last("a").gone = True
        supervisor.step()
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

    def test_a_driver_that_dies_now_and_then_is_always_followed(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor
    ) -> None:
        add(store, "a")
        for _ in range(2 * FAILED_STARTS):
            supervisor.step()
            supervisor.started["a"].began -= 60
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
        monkeypatch.setattr("search.supervisor.LOOK_S", 0.0)
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

    def test_a_database_that_goes_away_ends_nothing(
        self, store: Store, drivers: FakeDrivers, supervisor: Supervisor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("search.supervisor.LOOK_S", 0.0)
        looks: list[str | None] = []

        def away(*_: object) -> None:
            looks.append(supervisor.trouble)
            if len(looks) == 2:
                supervisor.end()
            raise StoreError("database away")

        monkeypatch.setattr("search.supervisor.claim", away)
        supervisor.run()
        assert looks == [None, "database away"]
        assert drivers.closed


class TestLocalDrivers:
    def test_the_last_words_are_the_last_line_of_the_log(self, home: Path) -> None:
        log = home / "job-driver.log"
        home.mkdir()
        log.write_text("x" * 9000 + "\nKeyError: 'batch'\n\n")
        with subprocess.Popen(["false"]) as process:
            pass
        said = LocalProcess(process, log).last_words()
        assert said == f"KeyError: 'batch' (exit code 1; see {log})"

    @pytest.mark.parametrize("written", [True, False])
    def test_a_driver_that_said_nothing_has_no_last_words(self, home: Path, written: bool) -> None:
        """Its job may have been deleted already, and the log with it."""
        log = home / "job-driver.log"
        home.mkdir()
        if written:
            log.touch()
        with subprocess.Popen(["true"]) as process:
            pass
        assert LocalProcess(process, log).last_words() == f"nothing (exit code 0; see {log})"

    def test_a_driver_that_the_system_cannot_start_is_trouble_that_may_pass(
        self, home: Path
    ) -> None:
        installation = Home.from_environment()
        installation.create()
        (home / "logs").write_text("a file in the way of the folder")
        drivers: Drivers = LocalDrivers(installation, None)
        with pytest.raises(ClusterError, match=r"no driver can be started: .*File exists.*logs"):
            drivers.start("tiny-0001", "claim")

    def test_a_ray_that_the_system_cannot_start_is_trouble_that_may_pass(self, home: Path) -> None:
        installation = Home.from_environment()
        installation.create()
        (home / "logs").write_text("a file in the way of the folder")
        drivers = LocalDrivers(installation, SharedRay(installation, 1))
        with pytest.raises(ClusterError, match=r"Ray cannot be started: .*File exists.*logs"):
            drivers.ready()
        drivers.close()

    def test_the_end_asks_drivers_to_end_and_kills_those_that_do_not(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "python").write_text(FAKE_PYTHON)
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        monkeypatch.setattr("search.drivers.PATIENCE_S", 0.5)
        installation = Home.from_environment()
        installation.create()
        drivers = LocalDrivers(installation, None)
        driving = {job_id: drivers.start(job_id, "claim") for job_id in ("tame", "deaf", "done")}
        for job_id in driving:
            log = home / "logs" / f"{job_id}-driver.log"
            while "-m search.drive" not in log.read_text():
                time.sleep(0.01)
        assert driving["done"].process.wait() == 0
        drivers.close()
        codes = {job_id: one.process.returncode for job_id, one in driving.items()}
        assert codes == {"tame": -signal.SIGTERM, "deaf": -signal.SIGKILL, "done": 0}
        drivers.close()


FAKE_PYTHON = """#!/bin/sh
test $3 = deaf && trap "" TERM
echo "$@"
test $3 = done || exec sleep 300
"""

FAKE_RAY = """#!/bin/sh
echo "$@"
test -e {folder}/broken && exit 3
echo "This command will now block forever"
exec sleep 300
"""


class TestSharedRay:
    @pytest.fixture
    def ray(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[SharedRay]:
        """A shared Ray, whose program only says that it runs."""
        program = tmp_path / "ray"
        program.write_text(FAKE_RAY.format(folder=tmp_path))
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        made = SharedRay(Home.from_environment(), cpus=3)
        yield made
        made.end()

    def test_it_is_started_once(self, ray: SharedRay) -> None:
        ray.ensure()
        process = ray.process
        assert process is not None
        assert process.poll() is None
        ray.ensure()
        assert ray.process is process
        assert ray.environment["RAY_ADDRESS"] == f"127.0.0.1:{ray.port}"
        said = ray.log.read_text()
        assert f"--port={ray.port}" in said
        assert "--num-cpus=3" in said
        assert ray.token not in said, "the processes of others are for all to see"

    def test_one_that_died_is_started_again_where_its_drivers_do_not_find_it(
        self, ray: SharedRay
    ) -> None:
        ray.ensure()
        assert ray.process is not None
        port, dead = ray.port, ray.process
        dead.kill()
        dead.wait()
        ray.ensure()
        assert ray.process is not dead
        assert ray.process.poll() is None
        assert ray.port != port

    def test_one_that_does_not_start_names_its_log_and_may_start_later(
        self, ray: SharedRay, tmp_path: Path
    ) -> None:
        (tmp_path / "broken").touch()
        with pytest.raises(ClusterError, match=rf"Ray does not start; see {ray.log}"):
            ray.ensure()
        assert ray.process is None
        (tmp_path / "broken").unlink()
        ray.ensure()
        assert ray.process is not None

    def test_its_end_ends_its_process(self, ray: SharedRay) -> None:
        ray.ensure()
        process = ray.process
        assert process is not None
        ray.end()
        assert process.poll() is not None
        ray.end()


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
        reader = jobs.Reader(self.store)
        try:
            return reader.show(jobs.find(self.store, job_id))
        finally:
            reader.close()

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
