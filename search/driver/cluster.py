"""Ray, as one job needs it: started here or joined, quiet, and checked against the document."""

import logging
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
from ray._private.node import Node

from search.common.patching import replaced
from search.common.processes import end_orphans, mark
from search.document.sections import Workers
from search.document.spec import JobSpec
from search.driver.packing import MOST

QUIET = {
    # Tune's own loggers and reporters cost more than our trials, and say what we say better.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # The study is the truth: Tune's snapshots of itself are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals end a job through the study; see engine.py.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # How long a worker in the middle of an epoch may take to end. While one is over this, Tune
    # waits for it in its loop, a second a round.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


LOCAL = {
    # A local Ray that died does not come back: its driver ends, and `resume` goes on.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    # Who finds that a node does not listen yet, as at most second starts, would ask again only
    # after a second. Both together are the ten seconds of Ray's own numbers.
    "RAY_raylet_client_connect_timeout_milliseconds": "50",
    "RAY_raylet_client_num_connect_attempts": "200",
}

AHEAD = {
    # Workers import what takes longest while their driver still prepares.
    "RAY_preload_python_modules": "trainables.trial,trainables.attempt",
    # Ray ends some that wait for a second, which may be before there are trials; here all that have
    # waited for a minute, since more were started than have got a trial by then.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    "RAY_num_workers_soft_limit": "0",
}

UNNEEDED = dict.fromkeys(
    ("start_monitor", "start_api_server", "start_log_monitor", "start_ray_client_server"),
    lambda _node, **_: None,
)
"""How Ray starts its autoscaler, its dashboard, the reader of its workers' logs and its server for
clients elsewhere, each of which a local Ray does without. They would have 280 MB, 1.5 s of each
start, and a port on which this machine's network reaches them."""

SESSIONS = Path(f"/tmp/gatetune-ray-{os.getuid()}")  # noqa: S108 - sockets need a short path
"""Where the local Rays of this user keep their sessions, which Ray itself never deletes."""


MARK = "GATETUNE_DRIVER"
"""Names, in the environment of a local Ray's processes, the driver that they belong to."""


OWN = "GATETUNE_OWN_RAY"
"""Set for drivers whose Ray is that of their service, of this machine alone."""


TURN_S = 0.0005
"""How long a thread may compute while another waits, as Ray starts: a tenth of what Python lets."""


JOIN_S = 60.0
"""How long a cluster without room for a trial is waited for: nodes may come after its head."""

ROUNDING = 1e-9
"""By how much the quotient of two fractions may be below the whole number that it is."""


class ClusterError(RuntimeError):
    """Ray cannot be reached, or has not what the document asks for."""


class ResourcesError(ClusterError):
    """The cluster has no node on which a trial of the document would fit."""


class NoWorkersError(ResourcesError):
    """The cluster has no worker at all, yet."""


@contextmanager
def cluster(
    address: str | None,
    *,
    cpus: int | None = None,
    gpus: int | None = None,
    ahead: int | None = None,
) -> Iterator[None]:
    """Join the Ray at ``address``, or run a local one for as long as the block lasts.

    Args:
        address: a Ray address; None for a local Ray.
        cpus: logical processors of a local Ray; None for all of this machine.
        gpus: the same for its GPUs.
        ahead: how many workers a local Ray makes ready for trials before there are any, and how
            many it starts at once later; None for Ray's own number, and with nothing imported.

    Raises:
        ClusterError: there is no Ray at the address.
    """
    if address is not None:
        check_answers(address)  # Ray itself takes more than a minute to give up
    own = {} if address else LOCAL | {MARK: mark()}
    if address is None and ahead is not None:
        own |= AHEAD | {"RAY_worker_maximum_startup_concurrency": str(ahead)}
    os.environ.update(QUIET | own)
    for name in ("ray.tune", "ray.train", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sweep()
    try:
        with short_turns(), nullcontext() if address else replaced(Node, **UNNEEDED):
            ray.init(
                address=address or "local",
                num_cpus=None if address else cpus,
                num_gpus=None if address else gpus,
                include_dashboard=None if address else False,
                _temp_dir=None if address else str(SESSIONS),
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    except Exception as error:  # a node that does not start in time raises a plain one
        what = f"no Ray answers at RAY_ADDRESS={address}" if address else "Ray cannot be started"
        raise ClusterError(f"{what}: {error}") from error
    finally:
        for name in own:  # what this process starts otherwise is not Ray's
            os.environ.pop(name, None)
    try:
        yield
    finally:
        session = ray.get_runtime_context().get_session_name()
        ray.shutdown()
        if address is None:
            shutil.rmtree(SESSIONS / session, ignore_errors=True)


def check_answers(address: str) -> None:
    """Make sure that somebody listens at a Ray address that names host and port.

    Raises:
        ClusterError: nobody does.
    """
    if found := re.fullmatch(r"([^/:]+):(\d+)", address):
        try:
            socket.create_connection((found[1], int(found[2])), timeout=5).close()
        except OSError as error:
            raise ClusterError(f"no Ray answers at RAY_ADDRESS={address}: {error}") from error


def lean(_parameters: object, _is_head: object) -> None:
    """Keep `ray start`, in whose process this is called, from starting what is not needed.

    Its server for clients has a port of its own, and takes all of Ray with it where another has
    that port, as the next Ray that starts on this machine may.
    """
    for name, nothing in UNNEEDED.items():
        setattr(Node, name, nothing)


@contextmanager
def same_environment() -> Iterator[None]:
    """Let trials begin in the workers that a local Ray has started ahead, which saves a second.

    Tune names environment variables that its workers are to have, which takes processes of their
    own. A local Ray's have all of this process's.
    """
    from ray.tune.execution import class_cache  # takes half a second

    with replaced(class_cache, DEFAULT_ENV_VARS={}, ENV_VARS_TO_PROPAGATE=set()):
        yield


@contextmanager
def uncounted() -> Iterator[None]:
    """Keep Tune from importing all callbacks that it has, to count those in use.

    MLflow comes with one of them, which costs a second before the first trial.
    """
    from ray.air._internal import usage

    with replaced(usage, tag_callbacks=lambda _callbacks: False):
        yield


@contextmanager
def short_turns() -> Iterator[None]:
    """Let a thread that computes give way at once to one that can go on.

    Ray's start is many short steps, each of which would else wait for the thread that loads data.
    """
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def sweep() -> None:
    """End and delete what the local Rays of drivers that were killed have left."""
    end_orphans(MARK)
    for session in SESSIONS.glob("session_*_*"):
        starter = session.name.rpartition("_")[2]
        if not session.is_symlink() and starter.isdecimal() and not Path("/proc", starter).exists():
            shutil.rmtree(session, ignore_errors=True)


def may_grow(address: str | None) -> bool:
    """Return whether nodes may still come to the Ray at an address, as to a cluster."""
    return address is not None and OWN not in os.environ


def check_resources(spec: JobSpec, *, wait: bool) -> None:
    """Refuse a job whose trials the cluster can never place.

    Args:
        spec: its document.
        wait: whether nodes may still come, which are waited for.

    Raises:
        ResourcesError: says what a trial asks for and what the cluster has.
    """
    nodes, until = node_resources(), time.monotonic() + (JOIN_S if wait else 0.0)
    while not any(fitting(node, spec.workers) for node in nodes) and time.monotonic() < until:
        time.sleep(1)
        nodes = node_resources()
    if not any(node.get("CPU") for node in nodes):
        raise NoWorkersError("the cluster has no worker")
    wanted = {"CPU": spec.workers.cpus, "GPU": spec.workers.sure_gpus}
    for kind, amount in wanted.items():
        found = [resources.get(kind, 0.0) for resources in nodes]
        if amount > max(found, default=0.0):
            key = f"workers.{kind.lower()}s"
            raise ResourcesError(
                f"{key}: a trial asks for {amount:g} {kind}, but the cluster has "
                f"{sum(found):g} {kind} in all and {max(found, default=0.0):g} on its largest node"
            )
    if not any(fitting(resources, spec.workers) for resources in nodes):
        asked = " and ".join(f"{amount:g} {kind}" for kind, amount in wanted.items())
        raise ResourcesError(
            f"workers: a trial asks for {asked}, but no node of the cluster has both"
        )


def node_resources() -> list[Mapping[str, float]]:
    """Return what each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def slots(nodes: Sequence[Mapping[str, float]], workers: Workers) -> int:
    """Return how many trials fit on nodes at once, at least one."""
    return max(1, sum(fitting(resources, workers) for resources in nodes))


def fitting(resources: Mapping[str, float], workers: Workers) -> int:
    """Return how many trials fit on a node at once.

    What is left over on two nodes, or of two GPUs, does not add up to room for another trial.
    """
    by_cpus = fitting_by_cpus(resources.get("CPU", 0.0), workers)
    gpus, each = resources.get("GPU", 0.0), workers.sure_gpus
    if each == 0:
        return by_cpus
    if each >= 1:
        return min(by_cpus, int(gpus / each))
    return min(by_cpus, int(gpus) * int(1 / each + ROUNDING))


def fitting_by_cpus(cpus: float, workers: Workers) -> int:
    """Return for how many trials there are processors."""
    return int(cpus / workers.cpus + ROUNDING)


def at_once(spec: JobSpec) -> int:
    """Return how many trials may start at once on this machine, each in a process that has PyTorch.

    How many GPUs there are is not known before Ray has looked: as many as may share one.
    """
    asked, cpus = spec.workers.concurrent, os.cpu_count() or 1
    most = fitting_by_cpus(cpus, spec.workers) if asked == "auto" else asked
    if spec.workers.gpus:
        most = min(most, MOST)
    return max(1, min(most, spec.budget.trials))
