"""`gatetune up`: one process that serves, runs the queue, is ended in the middle and goes on."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from typer.testing import CliRunner

from search.cli import app
from search.remote import Remote
from tests.processes import Process, processes
from tests.search.installations import installed
from tests.servers import free_port

DOCUMENT = """
name: {name}
data: {{source: digits, validation: 0.2}}
space:
  hidden_size: {{low: 4, high: 16, step: 4}}
  learning_rate: {{low: 1.0e-3, high: 1.0e-1, log: true}}
pruner: none
training: {{epochs: {epochs}, layers: 1, cell: gru}}
budget: {{trials: {trials}}}
workers: {{concurrent: 1}}
confirm: {{top: 0}}
"""


@contextmanager
def up(home: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the service, and yield where it answers and its process."""
    ports = ["--port", str(free_port()), "--mlflow-port", str(free_port())]
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
        assert line.startswith("service    http://"), (home / "up.log").read_text()
        yield line.split()[1], process
    finally:
        process.terminate()
        process.communicate(timeout=120)


def end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 0


def of_home(home: Path) -> list[Process]:
    """Return the processes that were started for an installation."""
    return [one for one in processes() if one.has_setting(f"GATETUNE_HOME={home}")]


def launch(url: str, path: Path, *more: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "search", "launch", str(path), "--server", url, "--json", *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_jobs_of_a_service_that_is_ended_in_the_middle(home: Path, tmp_path: Path) -> None:
    installed()
    quick, slow = tmp_path / "quick.yaml", tmp_path / "slow.yaml"
    quick.write_text(DOCUMENT.format(name="quick", epochs=2, trials=2))
    slow.write_text(DOCUMENT.format(name="slow", epochs=12, trials=3))

    with up(home) as (url, process):
        assert requests.get(f"{url}/health", timeout=30).json()["status"] == "ok"
        ready = requests.get(f"{url}/ready", timeout=30)
        assert (ready.status_code, ready.json()["trouble"]) == (200, [])

        first = launch(url, quick)
        assert (first["status"], first["trials"]["complete"]) == ("finished", 2)
        assert (first["undelivered"], first["model"]["alias"]) == (0, "champion")

        job_id = launch(url, slow, "--detach")["id"]
        remote = Remote(url, None)
        for _, kind, content in remote.events(job_id, None):
            if kind == "epoch" and content["epoch"] == 2:
                break
        remote.close()
        end(process)

    assert of_home(home) == []
    shown = ask("show", job_id)
    assert (shown["status"], shown["trials"]["running"]) == ("queued", 0)
    assert shown["trials"]["waiting"] == 1

    with up(home) as (url, process):
        remote = Remote(url, None)
        shown = remote.follow(remote.show(job_id), Console(quiet=True))
        assert (shown["status"], shown["undelivered"]) == ("finished", 0)
        report = remote.doctor(None, repair=False, quiet=True)
        remote.close()
        assert report["agree"], report
        assert {job["id"] for job in report["jobs"]} == {first["id"], job_id}
        end(process)
    assert of_home(home) == []
    rows = ask("trials", job_id)
    assert [(row["trial"], row["state"], row["epochs"]) for row in rows] == [
        (number, "complete", 12) for number in range(3)
    ]


def ask(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
