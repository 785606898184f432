"""A real MLflow server, as `gatetune up` starts it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from search.home import Home
from search.serving import HOST, ServingError, await_answer, free_port, serve


def test_up_takes_the_next_free_port_answers_and_ends_on_ctrl_c(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        first = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "up", "--port", str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"GATETUNE_HOME": str(home)},
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = line.split()[2]
            assert str(home) in line
            assert int(address.rpartition(":")[2]) > first
            with urlopen(f"{address}/health") as answer:  # noqa: S310 - our own
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[0] == ""
            assert process.returncode == 0
            with pytest.raises(OSError, match="refused"):
                urlopen(f"{address}/health")  # noqa: S310 - our own
        finally:
            process.kill()


def test_a_server_elsewhere_is_named_and_none_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert serve(Home.from_environment(), 5000, lambda: None) == 0
    assert "http://mlflow.example:5000" in capsys.readouterr().out
    assert not home.exists()


def test_no_free_port() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 65535))
        taken.listen()
        with pytest.raises(ServingError, match="no free port among 65535"):
            free_port(65535)


def test_a_server_that_ends_at_once_is_reported_with_its_log() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        process.wait()
        with pytest.raises(ServingError, match=r"ended with code 3; see the\.log"):
            await_answer(process, f"http://{HOST}:1/health", "the.log")
