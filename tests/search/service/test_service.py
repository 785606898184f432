"""`gatetune up`: one process that serves, runs the queue, is ended in the middle and goes on."""

import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from search.commands.cli import app
from search.commands.local import Local
from search.commands.remote import Remote
from search.common.home import Home
from search.service import service
from search.service.api.context import Service
from search.service.api.settings import Settings
from tests.processes import Process, processes
from tests.search.installations import installed
from tests.servers import free_port

DOCUMENT = """
name: tiny
data: {source: digits, validation: 0.2}
space:
  hidden_size: {low: 4, high: 16, step: 4}
  learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}
pruner: none
training: {epochs: 60, layers: 1, cell: gru}
budget: {trials: 3}
workers: {concurrent: 1}
confirm: {top: 0}
"""


@contextmanager
def up(home: Path, port: int) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the service, and yield where it answers and its process."""
    ports = ["--port", str(port), "--mlflow-port", str(free_port())]
    with (home / "up.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "up", *ports],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port} " in line, (home / "up.log").read_text()
        yield line.split()[1], process
    finally:
        process.terminate()
        process.communicate(timeout=150)


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=150)
    assert process.returncode == 0


def of_home(home: Path) -> list[Process]:
    """Return the processes that an installation has started."""
    return [one for one in processes() if one.has_setting(f"GATETUNE_HOME={home}")]


def elsewhere() -> dict[str, str]:
    """Return the environment of somebody who knows nothing of the installation."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATETUNE_")}


@pytest.mark.timeout(400)
def test_a_service_that_is_ended_in_the_middle_of_a_job(home: Path, tmp_path: Path) -> None:
    """Whoever launched the job waits on, and hears of its end from the next service."""
    installed()
    (tmp_path / "job.yaml").write_text(DOCUMENT)
    port = free_port()
    with up(home, port) as (url, process):
        assert requests.get(f"{url}/health", timeout=30).json()["status"] == "ok"
        ready = requests.get(f"{url}/ready", timeout=30)
        assert (ready.status_code, ready.json()["trouble"]) == (200, [])
        launched = subprocess.Popen(
            [sys.executable, "-m", "search", "launch", "job.yaml", "--server", url, "--json"],
            cwd=tmp_path,
            env=elsewhere(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert launched.stderr is not None
        job_id = launched.stderr.readline().split()[1]
        remote = Remote(url, None)
        for _, kind, content in remote.events(job_id, None):
            if kind == "epoch" and (content["trial"], content["epoch"]) == (1, 2):
                break
        remote.close()
        end(process)
    assert of_home(home) == []
    local = Local(Home.from_environment())
    shown = local.show(job_id)
    local.close()
    assert (shown["status"], shown["trials"]["running"]) == ("queued", 0)
    assert shown["trials"]["complete"] < 3

    with up(home, port) as (url, process):
        said, _ = launched.communicate(timeout=150)
        shown = json.loads(said)
        assert (launched.returncode, shown["id"], shown["status"]) == (0, job_id, "finished")
        assert (shown["undelivered"], shown["model"]["alias"]) == (0, "champion")
        remote = Remote(url, None)
        report, (_, rows) = remote.doctor(None, repair=False, quiet=True), remote.trials(job_id)
        remote.close()
        end(process)
    assert of_home(home) == []
    assert report["agree"], report
    assert [job["id"] for job in report["jobs"]] == [job_id]
    assert [row["trial"] for row in rows] == [0, 1, 2]
    assert {(row["state"], row["epochs"]) for row in rows} == {("complete", 60)}


COUNT = "must be a whole number of at least 1, but got"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("GATETUNE_MAX_JOBS", "0", f"{COUNT} '0'"),
        ("GATETUNE_MAX_JOBS_PER_OWNER", "-1", f"{COUNT} '-1'"),
        ("GATETUNE_MAX_TRIALS", "many", f"{COUNT} 'many'"),
        ("GATETUNE_MAX_TRIALS_PER_OWNER", "1.5", f"{COUNT} '1.5'"),
        ("GATETUNE_MAX_UPLOAD_MB", "0", f"{COUNT} '0'"),
        ("GATETUNE_MAX_TRIALS_A_JOB", "x", f"{COUNT} 'x'"),
        ("GATETUNE_REQUESTS_A_MINUTE", "0", f"{COUNT} '0'"),
        ("GATETUNE_SECURE", "maybe", "must be yes or no, but got 'maybe'"),
        ("GATETUNE_DATABASE_URL", "mysql://x", "must start with sqlite:/// or postgresql://"),
        ("GATETUNE_DATA", "s3://bucket", "must be a folder, but got 's3://bucket'"),
    ],
)
def test_a_setting_that_cannot_be_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["up"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gatetune: {name} {fault}")
    assert done.stderr.count("\n") == 1
    assert not home.exists()


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Settings]]:
    """Lets `up` begin and end without its parts; takes note of what it would serve with."""
    served: list[Settings] = []

    def serve(by: Service, listener: socket.socket, say: Callable[[], None]) -> int:
        assert listener.getsockname()[1] == by.settings.port
        served.append(by.settings)
        say()
        return 0

    monkeypatch.setattr(service, "tracked", lambda *_: nullcontext())
    monkeypatch.setattr(service, "supervised", lambda _: nullcontext())
    monkeypatch.setattr(service, "keep_settled", lambda *_: None)
    monkeypatch.setattr(service, "write_json", lambda: None)
    monkeypatch.setattr(service, "serve", serve)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield served
    for number, handler in before.items():
        signal.signal(number, handler)


ANYWHERE = "0.0.0.0"  # noqa: S104
UNUSABLE = "nobody can use the service yet: there is no token; `gatetune token create --role admin`"


def test_beyond_loopback_it_says_that_nobody_has_a_token(
    alone: list[Settings], caplog: pytest.LogCaptureFixture
) -> None:
    done = CliRunner().invoke(app, ["up", "--host", ANYWHERE, "--port", "9000"])
    assert (done.exit_code, done.stdout.split()[1]) == (0, f"http://{ANYWHERE}:9000")
    assert [(one.is_private, one.port) for one in alone] == [(False, 9000)]
    (warned,) = [record for record in caplog.records if UNUSABLE in record.message]
    assert warned.levelno == logging.WARNING


@pytest.mark.parametrize(("host", "token"), [("127.0.0.1", False), (ANYWHERE, True)])
def test_where_somebody_can_use_it_there_is_nothing_to_say(
    alone: list[Settings], caplog: pytest.LogCaptureFixture, host: str, token: bool
) -> None:
    if token:
        assert CliRunner().invoke(app, ["token", "create"]).exit_code == 0
    assert CliRunner().invoke(app, ["up", "--host", host]).exit_code == 0
    assert [one.host for one in alone] == [host]
    assert [record for record in caplog.records if UNUSABLE in record.message] == []


def test_what_drivers_leave_is_settled_at_once_and_whenever_one_has_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, turns = threading.Event(), queue.Queue[Path]()

    def settle(here: Home) -> None:
        turns.put(here.path)
        raise RuntimeError("a turn that fails is not the last")

    monkeypatch.setattr(service, "settle", settle)
    here = Home.from_environment()
    threading.Thread(target=service.keep_settled, args=(here, left), daemon=True).start()
    for _ in range(3):
        assert turns.get(timeout=60) == home
        left.set()


def test_a_port_that_is_taken_is_passed_over(alone: list[Settings]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["up", "--port", str(port)])
    assert done.exit_code == 0
    assert port < alone[0].port < port + 20
    assert f"port {port} is taken, so it is {alone[0].port}\n" in done.stdout
    assert f"http://127.0.0.1:{alone[0].port} " in done.stdout


def test_no_port_is_free(alone: list[Settings]) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # it is taken already
            taken.bind(("127.0.0.1", 65535))
        done = CliRunner().invoke(app, ["up", "--port", "65535"])
    assert done.exit_code == 1
    assert done.stderr.startswith("gatetune: no free port among 65535 to ")
    assert alone == []


@pytest.mark.parametrize("host", [ANYWHERE, "::"])
def test_on_a_network_a_port_that_is_taken_is_said(alone: list[Settings], host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["up", "--host", host, "--port", str(port)])
    assert done.exit_code == 1
    assert f"gatetune: cannot listen on {host}, port {port}: Address already in use" in done.stderr
    assert alone == []
