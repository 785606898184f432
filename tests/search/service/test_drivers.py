"""Drivers as processes of this machine: how they start, what they say last, how they end."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from search.common.home import Home
from search.driver.cluster import ClusterError
from search.service.drivers import Drivers, LocalDrivers, LocalProcess
from search.service.sharedray import SharedRay


def test_the_last_words_are_the_last_line_of_the_log(home: Path) -> None:
    log = home / "job-driver.log"
    home.mkdir()
    log.write_text("x" * 9000 + "\nKeyError: 'batch'\n\n")
    with subprocess.Popen(["false"]) as process:
        pass
    said = LocalProcess(process, log).last_words()
    assert said == f"KeyError: 'batch' (exit code 1; see {log})"


@pytest.mark.parametrize("written", [True, False])
def test_a_driver_that_said_nothing_has_no_last_words(home: Path, written: bool) -> None:
    """Its job may have been deleted already, and the log with it."""
    log = home / "job-driver.log"
    home.mkdir()
    if written:
        log.touch()
    with subprocess.Popen(["true"]) as process:
        pass
    assert LocalProcess(process, log).last_words() == f"nothing (exit code 0; see {log})"


def test_a_driver_that_the_system_cannot_start_is_trouble_that_may_pass(home: Path) -> None:
    installation = Home.from_environment()
    installation.create()
    (home / "logs").write_text("a file in the way of the folder")
    drivers: Drivers = LocalDrivers(installation, None)
    with pytest.raises(ClusterError, match=r"no driver can be started: .*File exists.*logs"):
        drivers.start("tiny-0001", "claim")


def test_no_driver_is_started_for_a_cluster_that_does_not_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    drivers = LocalDrivers(Home.from_environment(), None)
    with pytest.raises(ClusterError, match=r"no Ray answers at RAY_ADDRESS=127\.0\.0\.1:1: .*ref"):
        drivers.ready()
    with socket.create_server(("127.0.0.1", 0)) as ray:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{ray.getsockname()[1]}")
        LocalDrivers(Home.from_environment(), None).ready()


def test_a_ray_that_the_system_cannot_start_is_trouble_that_may_pass(home: Path) -> None:
    installation = Home.from_environment()
    installation.create()
    (home / "logs").write_text("a file in the way of the folder")
    drivers = LocalDrivers(installation, SharedRay(installation, 1))
    with pytest.raises(ClusterError, match=r"Ray cannot be started: .*File exists.*logs"):
        drivers.ready()
    drivers.close()


def test_the_end_asks_drivers_to_end_and_kills_those_that_do_not(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("search.service.drivers.PATIENCE_S", 0.5)
    installation = Home.from_environment()
    installation.create()
    drivers = LocalDrivers(installation, None)
    driving = {job_id: drivers.start(job_id, "claim") for job_id in ("tame", "deaf", "done")}
    for job_id in driving:
        log = home / "logs" / f"{job_id}-driver.log"
        while "-m search.service.drive" not in log.read_text():
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
