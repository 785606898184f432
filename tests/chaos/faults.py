"""What can go wrong, each with how it is set right again."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from search.database.store import Store
from tests.chaos.keeper import Keeper
from tests.chaos.proxy import Way
from tests.chaos.world import World
from tests.processes import Process, send_all


class NotNow(Exception):  # noqa: N818 - a normal outcome
    """What would fail is not there at this moment."""


@dataclass
class Scene:
    """What a fault may touch."""

    world: World
    keeper: Keeper
    random: Random
    complaints: list[str] = field(default_factory=list)
    """What a fault saw that must not be."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault: a block that breaks something, and mends it when it is left."""

    name: str
    block: Callable[[Scene], AbstractContextManager[None]]
    touches: str
    """What it breaks; two faults of one thing do not overlap."""
    held_s: tuple[float, float] = (0.0, 0.0)
    """Bounds of how long it lasts."""
    weight: float = 1.0
    """How often it comes, compared with the others."""
    alone: bool = False
    """Whether everything else must be whole."""
    resumable: bool = True
    """Whether a driver can be started while it lasts."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    touches: str,
    held_s: tuple[float, float] = (0.0, 0.0),
    *,
    weight: float = 1.0,
    alone: bool = False,
    resumable: bool = True,
) -> Callable[[Callable[[Scene], Iterator[None]]], None]:
    """Enter a function as a fault: it breaks something, yields, and mends it."""

    def enter(block: Callable[[Scene], Iterator[None]]) -> None:
        whole = contextmanager(block)
        FAULTS[name] = Fault(name, whole, touches, held_s, weight, alone, resumable)

    return enter


def some(found: list[Process], what: str) -> list[Process]:
    """Return the processes, of which there must be some."""
    if not found:
        raise NotNow(f"there is no {what}")
    return found


@fault("driver-killed", "driver", weight=1.5)
def driver_killed(scene: Scene) -> Iterator[None]:
    scene.keeper.driver.send(signal.SIGKILL)
    yield


@fault("driver-interrupted", "driver")
def driver_interrupted(scene: Scene) -> Iterator[None]:
    scene.keeper.driver.send(signal.SIGTERM)
    yield


@fault("driver-stopped", "driver", (1.0, 4.0))
def driver_stopped(scene: Scene) -> Iterator[None]:
    driver = scene.keeper.driver
    driver.send(signal.SIGSTOP)
    yield
    driver.send(signal.SIGCONT)


@fault("worker-killed", "worker", weight=1.5)
def worker_killed(scene: Scene) -> Iterator[None]:
    scene.random.choice(some(scene.keeper.driver.workers(), "worker")).send(signal.SIGKILL)
    yield


@fault("worker-stopped", "worker", (1.0, 6.0))
def worker_stopped(scene: Scene) -> Iterator[None]:
    worker = scene.random.choice(some(scene.keeper.driver.workers(), "worker"))
    worker.send(signal.SIGSTOP)
    yield
    worker.send(signal.SIGCONT)


@fault("ray-killed", "worker")
def ray_killed(scene: Scene) -> Iterator[None]:
    send_all(some(scene.keeper.driver.ray(), "Ray"), signal.SIGKILL)
    yield


@fault("ray-stopped", "worker", (1.0, 6.0), weight=0.5)
def ray_stopped(scene: Scene) -> Iterator[None]:
    found = some(scene.keeper.driver.ray(), "Ray")
    send_all(found, signal.SIGSTOP)
    yield
    send_all(found, signal.SIGCONT)


@fault("delivery-stopped", "delivery", (1.0, 6.0), weight=0.5)
def delivery_stopped(scene: Scene) -> Iterator[None]:
    found = some(scene.keeper.driver.delivery(), "delivery")
    send_all(found, signal.SIGSTOP)
    yield
    send_all(found, signal.SIGCONT)


@fault("delivery-killed", "delivery")
def delivery_killed(scene: Scene) -> Iterator[None]:
    send_all(some(scene.keeper.driver.delivery(), "delivery"), signal.SIGKILL)
    yield


@fault("mlflow-killed", "mlflow", (1.0, 5.0))
def mlflow_killed(scene: Scene) -> Iterator[None]:
    scene.world.tracking.kill()
    yield
    scene.world.tracking.start()


@fault("mlflow-stopped", "mlflow", (1.0, 6.0))
def mlflow_stopped(scene: Scene) -> Iterator[None]:
    scene.world.tracking.send(signal.SIGSTOP)
    yield
    scene.world.tracking.send(signal.SIGCONT)


def through_proxy(way: Way) -> Callable[[Scene], Iterator[None]]:
    """Return a fault that lies on the way to MLflow."""

    def block(scene: Scene) -> Iterator[None]:
        scene.world.proxy.set(way)
        yield
        scene.world.proxy.set(Way.OPEN)

    return block


fault("mlflow-500", "mlflow", (1.0, 6.0))(through_proxy(Way.ERROR))
fault("mlflow-502-after", "mlflow", (1.0, 6.0), weight=1.5)(through_proxy(Way.ERROR_AFTER))
fault("mlflow-hangs", "mlflow", (1.0, 6.0))(through_proxy(Way.HANG))


@fault("postgres-killed", "database", (1.0, 5.0), weight=1.5, resumable=False)
def postgres_killed(scene: Scene) -> Iterator[None]:
    assert scene.world.postgres is not None
    scene.world.postgres.kill()
    yield
    scene.world.postgres.start()


@fault("disk-full", "disk", (1.5, 4.0), weight=0.7, resumable=False)
def disk_full(scene: Scene) -> Iterator[None]:
    path = scene.world.checkpoints / "ballast"
    fill(path)
    yield
    path.unlink()


def fill(path: os.PathLike[str]) -> None:
    """Write a file until the disk is full."""
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123 - any path
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return


@fault("machine-rebooted", "everything", weight=0.6, alone=True)
def machine_rebooted(scene: Scene) -> Iterator[None]:
    world = scene.world
    send_all(world.processes(), signal.SIGKILL)
    world.tracking.kill()
    if world.postgres is not None:
        world.postgres.kill()
    world.start()
    yield


DEADLINE_S = 90.0
"""How long the steps of a takeover may take."""


@fault("driver-stopped-past-its-lease", "driver", weight=0.15, alone=True)
def driver_stopped_past_its_lease(scene: Scene) -> Iterator[None]:
    """Let a second driver take the job over while the first is frozen, then wake the first.

    While the first one finds out, the second is frozen: whatever is written then, the first wrote.
    """
    keeper, first = scene.keeper, scene.keeper.driver
    job_id = keeper.job_id
    if first.stage == "starting" or job_id is None:
        raise NotNow("no driver holds a lease")
    first.send(signal.SIGSTOP)
    await_state(lambda: keeper.lease_until() < time.time(), "the lease did not run out")
    second = keeper.start()
    await_state(lambda: second.has_passed("starting"), "no second driver took the job over")
    with frozen(keeper):
        before = content(keeper.open())
        first.send(signal.SIGCONT)
        first.await_end(20.0)
        after = content(keeper.open())
    first.await_end(DEADLINE_S)
    if before != after:
        scene.complaints.append("a driver wrote to the database after another had taken its job")
    if not first.ended or first.process.returncode == 0:
        code = first.process.returncode
        scene.complaints.append(f"a driver whose job was taken over ended with {code}, not 1")
    yield


@contextmanager
def frozen(keeper: Keeper) -> Iterator[None]:
    """Freeze the newest driver and its delivery at a moment at which neither is writing."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        writers = [p for p in keeper.driver.family() if "-m search" in p.title]
        send_all(writers, signal.SIGSTOP)
        if is_free(keeper):
            break
        send_all(writers, signal.SIGCONT)
        if time.monotonic() > deadline:
            raise TimeoutError("the database was never free")
        time.sleep(0.05)
    try:
        yield
    finally:
        send_all(writers, signal.SIGCONT)


def is_free(keeper: Keeper) -> bool:
    """Whether nobody holds the lock that every writer of the job needs."""
    engine = keeper.open().engine
    lock = (
        "BEGIN IMMEDIATE"
        if engine.dialect.name == "sqlite"
        else "SELECT 1 FROM jobs FOR UPDATE NOWAIT"
    )
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            connection.exec_driver_sql(lock)
            connection.invalidate()  # its settings and its lock end with it
    except OperationalError:
        return False
    return True


def content(store: Store) -> list[Any]:
    """Return all that drivers write, the lease excepted."""
    tables = ("journal", "runs", "trials", "trial_values", "trial_intermediate_values")
    with store.session() as session:
        return [
            sorted(map(repr, session.execute(text(f"SELECT * FROM {table}"))))  # noqa: S608
            for table in (*tables, "trial_user_attributes")
        ]


def await_state(reached: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not in time.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.05)
