"""The Ray that the jobs of a machine share: started once, again where it died, ended whole."""

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from search.common.home import Home
from search.common.processes import marked
from search.driver.cluster import MARK, OWN, ClusterError
from search.service.sharedray import SharedRay

FAKE_RAY = """#!{python} -I
import os, pathlib, signal, socket, subprocess, sys
print(*sys.argv[1:], flush=True)
if pathlib.Path("{folder}/broken").exists():
    sys.exit(3)
(port,) = (int(one[7:]) for one in sys.argv if one.startswith("--port="))
gcs = socket.create_server(("127.0.0.1", port))
signal.signal(signal.SIGUSR1, lambda *_: gcs.close())
subprocess.Popen(["sleep", "300"], env=dict(), start_new_session=True)
print("This command will now block forever")
print(f"logs will be saved to: \33[1m{folder}/session_{{os.getpid()}}/logs", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def ray(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedRay]:
    """A shared Ray, whose program only says that it runs."""
    program = tmp_path / "ray"
    program.write_text(FAKE_RAY.format(folder=tmp_path, python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    made = SharedRay(Home.from_environment(), cpus=3)
    yield made
    made.end()


def test_it_is_started_once(ray: SharedRay, tmp_path: Path) -> None:
    ray.ensure()
    process = ray.process
    assert process is not None
    assert process.poll() is None
    ray.ensure()
    assert ray.process is process
    assert ray.session == tmp_path / f"session_{process.pid}"
    assert OWN in ray.environment
    assert ray.environment["RAY_ADDRESS"] == f"127.0.0.1:{ray.port}"
    said = ray.log.read_text()
    assert f"--port={ray.port}" in said
    assert "--num-cpus=3" in said
    assert ray.token not in said, "the processes of others are for all to see"


def test_another_ones_word_in_the_same_log_is_not_taken_for_its_own(
    ray: SharedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another service of the home, which writes while this one starts."""
    monkeypatch.setattr("search.service.sharedray.START_S", 0.3)
    others = "will be saved to: /tmp/session_1/logs"
    (tmp_path / "ray").write_text(f"#!/bin/sh\necho will now block forever {others}\nsleep 300")
    with pytest.raises(ClusterError, match="Ray does not start"):
        ray.ensure()


def test_one_that_died_is_started_again_where_its_drivers_do_not_find_it(ray: SharedRay) -> None:
    ray.ensure()
    assert ray.process is not None
    port, dead = ray.port, ray.process
    dead.kill()
    dead.wait()
    ray.ensure()
    assert ray.process is not dead
    assert ray.process.poll() is None
    assert ray.port != port


def test_one_that_nobody_can_join_is_started_again_and_its_log_kept(
    ray: SharedRay, caplog: pytest.LogCaptureFixture
) -> None:
    ray.ensure()
    port, process = ray.port, ray.process
    assert process is not None
    process.send_signal(signal.SIGUSR1)
    with caplog.at_level(logging.WARNING):
        while ray.process is process:  # a signal takes its time
            ray.ensure()
    assert process.returncode == -signal.SIGKILL
    assert ray.port > port
    assert [record.message for record in caplog.records] == [
        f"Ray ended and is started again; see {ray.log}"
    ]
    assert all(f"--port={number}" in ray.log.read_text() for number in (port, ray.port))


def test_one_that_cannot_be_looked_at_is_not_ended(
    ray: SharedRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a service has no file descriptors left."""
    ray.ensure()
    process = ray.process

    def full(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("search.driver.cluster.socket.create_connection", full)
        with pytest.raises(ClusterError, match="Too many open files"):
            ray.ensure()
    ray.ensure()
    assert ray.process is process


def test_a_real_one_starts_nothing_that_another_beside_it_could_take_the_port_of(
    home: Path,
) -> None:
    ray = SharedRay(Home.from_environment(), cpus=1)
    try:
        ray.ensure()
        started = [" ".join(psutil.Process(pid).cmdline()) for pid, _ in marked(MARK)]
        mine = [line for line in started if f":{ray.port}" in line or f"={ray.port}" in line]
        assert any("gcs_server" in line for line in mine)
        assert any("raylet/raylet" in line for line in mine)
        assert not [line for line in mine if "client.server" in line or "monitor" in line]
    finally:
        ray.end()


def test_one_that_does_not_start_names_its_log_and_may_start_later(
    ray: SharedRay, tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(ClusterError, match=rf"Ray does not start; see {ray.log}"):
        ray.ensure()
    assert ray.process is None
    (tmp_path / "broken").unlink()
    ray.ensure()
    assert ray.process is not None


def test_one_that_ends_before_it_answers_is_started_at_the_next_port(
    ray: SharedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, ports = SharedRay.begin, list[int]()

    def taken_once(self: SharedRay) -> object:
        broken = tmp_path / "broken"
        broken.unlink(missing_ok=True) if ports else broken.touch()
        process = begin(self)
        ports.append(self.port)
        return process

    monkeypatch.setattr(SharedRay, "begin", taken_once)
    ray.ensure()
    assert ray.process is not None
    assert ray.process.poll() is None
    assert len(set(ports)) == 2


def test_its_end_ends_all_of_its_processes(ray: SharedRay) -> None:
    ray.ensure()
    process = ray.process
    assert process is not None
    assert [owner for _, owner in marked(MARK)].count(ray.owner) == 2
    ray.end()
    assert process.poll() is not None
    assert ray.owner not in [owner for _, owner in marked(MARK)]
    ray.end()
