"""What fits on a cluster, what a local Ray starts, and what dead drivers leave."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray import _config
from ray.tune.execution import class_cache

from search.common.processes import mark, marked, namespace
from search.driver.cluster import (
    AHEAD,
    MARK,
    OWN,
    ClusterError,
    NoWorkersError,
    at_once,
    check_resources,
    cluster,
    fitting,
    may_grow,
    node_resources,
    same_environment,
    short_turns,
    slots,
    sweep,
)
from tests.search.conftest import make_spec

TWO = {"CPU": 2.0, "GPU": 1.0}
"""A node of two processors and a GPU."""


@pytest.mark.parametrize(
    ("resources", "workers", "fit"),
    [
        ({"CPU": 3.0}, "{cpus: 2}", 1),
        ({"CPU": 1.0}, "{cpus: 0.1}", 10),
        ({"CPU": 8.0}, "{gpus: 1}", 0),
        ({"CPU": 8.0, "GPU": 3.0}, "{gpus: 2}", 1),
        ({"CPU": 8.0, "GPU": 2.0}, "{gpus: 0.4}", 4),  # two on each, although 5 times 0.4 is 2
        ({"CPU": 8.0, "GPU": 1.0}, "{gpus: 0.1}", 8),
        ({"GPU": 4.0}, "{gpus: 1}", 0),
    ],
)
def test_trials_fit_on_a_node_by_its_whole_processors_and_gpus(
    resources: dict[str, float], workers: str, fit: int
) -> None:
    assert fitting(resources, make_spec(f"workers={workers}").workers) == fit


def test_tune_names_no_environment_for_a_while() -> None:
    kept = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    with pytest.raises(KeyError), same_environment():
        raise KeyError(class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE)
    assert kept == (class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE)
    assert "AWS_SESSION_TOKEN" in class_cache.ENV_VARS_TO_PROPAGATE


def test_turns_are_short_while_ray_starts_and_as_before_then() -> None:
    usual_s = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() < usual_s / 5
    assert sys.getswitchinterval() == usual_s


def test_turns_are_as_before_where_ray_does_not_start() -> None:
    usual_s = sys.getswitchinterval()
    with pytest.raises(OSError, match="no Ray"), short_turns():
        raise OSError("no Ray")
    assert sys.getswitchinterval() == usual_s


def test_a_local_ray_makes_workers_ready_and_starts_nothing_that_nobody_asks() -> None:
    def has_torch() -> bool:
        return "torch" in sys.modules

    with cluster(None, cpus=2, ahead=1):
        own = [pid for pid, owner in marked(MARK) if owner.startswith(f"{os.getpid()}:")]
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in own]
        workers = [
            one for one in commands if re.match(r"ray::IDLE|\S*python\S*default_worker", one)
        ]
        assert len(workers) == 1
        assert [node["CPU"] for node in node_resources()] == [2.0]
        assert not [
            one for one in commands if "monitor.py" in one or "dashboard/dashboard.py" in one
        ]
        assert ray.get(ray.remote(has_torch).remote())
        assert _config.raylet_client_connect_timeout_milliseconds() == 50
    assert not AHEAD.keys() & os.environ.keys()


@pytest.mark.parametrize(
    ("workers", "trials", "most"),
    [
        ("{}", 99, 16),
        ("{}", 5, 5),
        ("{cpus: 2}", 99, 8),
        ("{cpus: 32}", 99, 1),
        ("{concurrent: 3}", 99, 3),
        ("{gpus: auto}", 99, 4),
    ],
)
def test_so_many_trials_start_at_once(
    workers: str, trials: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert at_once(make_spec(f"workers={workers}", f"budget.trials={trials}")) == most


def test_what_two_nodes_have_between_them_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 1.0, "GPU": 1.0}]
    monkeypatch.setattr("search.driver.cluster.node_resources", lambda: nodes)
    assert slots(nodes, make_spec("workers.cpus=2").workers) == 2
    check_resources(make_spec("workers={cpus: 1, gpus: 1}"), wait=False)
    with pytest.raises(ClusterError, match=r"a trial asks for 2 CPU and 1 GPU, but no node of"):
        check_resources(make_spec("workers={cpus: 2, gpus: 1}"), wait=False)


def test_a_cluster_whose_workers_come_after_its_head_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head: dict[str, float] = {"memory": 1.0}
    seen = iter(([head], [head, {"CPU": 8.0}], [head, {"CPU": 8.0}, TWO]))
    monkeypatch.setattr("search.driver.cluster.node_resources", lambda: next(seen))
    monkeypatch.setattr("search.driver.cluster.time.sleep", lambda _: None)
    check_resources(make_spec("workers.gpus=1"), wait=True)
    assert next(seen, None) is None
    monkeypatch.setattr("search.driver.cluster.node_resources", lambda: [head])
    monkeypatch.setattr("search.driver.cluster.JOIN_S", 0.0)
    with pytest.raises(NoWorkersError, match=r"the cluster has no worker"):
        check_resources(make_spec(), wait=True)


@pytest.mark.parametrize(
    ("address", "own", "grows"),
    [(None, "", False), ("10.0.0.1:6379", "", True), ("127.0.0.1:26379", "1", False)],
)
def test_only_to_a_cluster_nodes_may_still_come(
    address: str | None, own: str, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own:
        monkeypatch.setenv(OWN, own)
    assert may_grow(address) is grows


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.driver.cluster.node_resources", lambda: [TWO])
    with pytest.raises(ClusterError, match=r"workers.gpus: a trial asks for 2 GPU, .* has 1 GPU"):
        check_resources(make_spec("workers.gpus=2"), wait=False)


@pytest.mark.parametrize(
    ("workers", "together"),
    [("{}", 2), ("{cpus: 2}", 1), ("{gpus: 1}", 1), ("{concurrent: 7}", 2)],
)
def test_slots_follow_cluster_and_document(workers: str, together: int) -> None:
    assert slots([TWO], make_spec(f"workers={workers}").workers) == together


def test_sessions_of_dead_drivers_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.cluster.SESSIONS", tmp_path)
    with subprocess.Popen(["true"]) as ended:
        pass
    dead, alive = (tmp_path / f"session_today_{pid}" for pid in (ended.pid, os.getpid()))
    for session in (dead, alive):
        (session / "logs").mkdir(parents=True)
    (tmp_path / f"session_latest_{ended.pid}").symlink_to(alive)
    sweep()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted(
        (alive.name, f"session_latest_{ended.pid}")
    )


def test_processes_that_outlived_their_driver_are_ended() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    elsewhere = f"{ended.pid}:12345:{namespace() + 1}"  # where numbers mean other processes
    with (
        running(mark()) as ours,
        running(elsewhere) as theirs,
        running(f"{ended.pid}:12345:{namespace()}") as orphan,
    ):
        sweep()
        assert orphan.wait(10) == -signal.SIGKILL
        assert (ours.poll(), theirs.poll()) == (None, None)


@contextmanager
def running(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A marked process that has begun: the kernel shows no environment at the moment of exec."""
    with subprocess.Popen(
        ["yes"], stdout=subprocess.PIPE, env=os.environ | {MARK: mark}
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        yield process  # which ends when nobody reads it any more


def test_a_ray_that_does_not_start_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**_: object) -> None:
        raise Exception("The current node timed out during startup")  # noqa: TRY002 - as Ray does

    monkeypatch.setattr("ray.init", late)
    with (
        pytest.raises(ClusterError, match="Ray cannot be started: The current node"),
        cluster(None),
    ):
        pass


def test_an_address_where_no_ray_is_says_so() -> None:
    with (
        pytest.raises(ClusterError, match=r"no Ray answers at RAY_ADDRESS=127\.0\.0\.1:1"),
        cluster("127.0.0.1:1"),
    ):
        pass
