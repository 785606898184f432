"""Whole jobs, from the command to the files, in processes that are killed."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from search.commands.cli import app
from search.common.home import Home

TINY = """
name: tiny
data: {source: digits, validation: 0.2}
space:
  cell: [lstm, gru]
  hidden_size: {low: 4, high: 16, step: 4}
  learning_rate: {low: 1.0e-3, high: 1.0e-1, log: true}
baseline:
  - {cell: lstm, hidden_size: 4, learning_rate: 0.001, schedule: constant}
pruner: {name: successive-halving, min_resource: 2}
training: {epochs: 4, layers: 1}
budget: {trials: 8}
workers: {concurrent: 1}
confirm: {top: 1, seeds: 2}
"""


@pytest.fixture
def document(tmp_path: Path, home: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "search", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # Where the tests run under nohup, their jobs do not.
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    )


def read_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"ended before {pattern!r}:\n{''.join(seen)}")


def ask(*arguments: str) -> Any:
    """Return what a reading command prints."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def run(*arguments: str) -> Any:
    """Return what a command prints that trains, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "search", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_whole(shown: dict[str, Any], home: Path, *, trials: int = 8) -> None:
    """Check what must hold after any sequence of crashes, once the job has finished."""
    assert shown["status"] == "finished"
    assert shown["undelivered"] == 0
    rows = ask("trials", shown["id"])
    searched = [row for row in rows if row["study"] == shown["id"]]
    assert [row["trial"] for row in searched] == list(range(trials))
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    doubled = Counter(
        (r.data.tags["gatetune.study"], r.data.tags.get("gatetune.trial")) for r in runs
    )
    assert set(doubled.values()) == {1}
    assert len(runs) == len(rows) + 1
    for row in rows:
        history = client.get_metric_history(row["mlflow_run_id"], "val_accuracy")
        assert [metric.step for metric in history] == list(range(1, row["epochs"] + 1))


def test_killed_and_interrupted_jobs_are_finished_by_one_of_ten(document: Path, home: Path) -> None:
    # So many that there is something left when the stop is noticed, a second later.
    killed = start("launch", str(document), "--set", "budget.trials=30")
    read_until(killed, r"trial 003 .* after")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    job_id = ask("jobs")[0]["id"]
    assert ask("show", job_id)["status"] == "stopped"

    interrupted = start("resume", job_id)
    read_until(interrupted, r"trial 005 .* after")
    assert interrupted.stdout is not None
    interrupted.stdout.close()  # nobody reads any more
    assert interrupted.wait() == 130
    shown = ask("show", job_id)
    assert (shown["status"], shown["trials"]["running"]) == ("stopped", 0)

    # Of a job that was interrupted they may be earlier than the driver that runs it.
    assert_one_of_ten_resumes_it(job_id, f"{BUSY}|is being deleted, repaired or started")
    assert_whole(ask("show", job_id), home, trials=30)


def test_of_ten_resumes_at_once_one_runs_the_job_on_postgresql(
    document: Path, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATETUNE_DATABASE_URL", postgres_url)
    killed = start("launch", str(document), "--set", "confirm.top=0")
    read_until(killed, r"trial 003 .* after")
    killed.kill()
    killed.communicate()
    job_id = ask("jobs")[0]["id"]
    assert_one_of_ten_resumes_it(job_id, BUSY)
    assert_whole(ask("show", job_id), home)


BUSY = "is run by another driver"


def assert_one_of_ten_resumes_it(job_id: str, refused: str) -> None:
    """Resume a job ten times at once: one goes on with it, the others are refused."""
    resumes = [start("resume", job_id) for _ in range(10)]
    said = [resume.communicate()[0] for resume in resumes]
    assert sorted(resume.returncode for resume in resumes) == [0] + [2] * 9
    assert sum(bool(re.search(refused, text)) for text in said) == 9


FEW = ["budget.trials=5", "confirm.top=0"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An installation with one small job that has finished, and what `launch` said of it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    few = [word for one in FEW for word in ("--set", one)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATETUNE_HOME", str(folder / "home"))
        return folder / "home", run("launch", str(folder / "tiny.yaml"), *few)


@pytest.fixture
def finished(
    launched: tuple[Path, dict[str, Any]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What `launch` said of the finished job, whose installation the commands use."""
    monkeypatch.setenv("GATETUNE_HOME", str(launched[0]))
    return launched[1]


def test_what_a_finished_job_still_has_to_deliver_needs_no_ray(
    finished: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when MLflow was away at the end; a registered model needs no files here."""
    home = Home.from_environment().path
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    file = home / "checkpoints" / finished["id"] / "champion" / "model.onnx"
    for registered in (False, True):
        with sqlite3.connect(home / "gatetune.db") as connection:
            if not registered:
                connection.execute("UPDATE jobs SET model = NULL")
            connection.execute("UPDATE runs SET delivered = 'RUNNING//0/' WHERE trial = -1")
        connection.close()
        assert ask("show", finished["id"])["undelivered"] == 1
        if registered:
            file.rename(home / "aside")
        again = run("resume", finished["id"])
        assert (again["status"], again["undelivered"]) == ("finished", 0)
        assert again["model"] == finished["model"]
    (home / "aside").rename(file)


FETCHED = """
import sys, torch
assert not any(name.startswith(("search", "trainables")) for name in sys.modules)
model = torch.export.load(sys.argv[1] + "/model.pt2").module()
print(tuple(model(torch.rand(7, 8, 8)).shape))
"""


def test_a_fetched_model_needs_torch_alone(finished: dict[str, Any], tmp_path: Path) -> None:
    assert finished["confirmed"] is None
    assert finished["model"]["name"] == "tiny"
    folder = tmp_path / "best"
    fetched = ask("fetch", finished["id"], "--to", str(folder))
    assert sorted(fetched["files"]) == sorted(p.name for p in folder.iterdir())
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", FETCHED, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "(7, 10)"


def told(job_id: str) -> list[Any]:
    kept = ("trial", "state", "value", "best_epoch_value", "epochs", "params")
    return [[row[key] for key in kept] for row in ask("trials", job_id)]


def test_the_same_document_gives_the_same_trials_from_python(
    finished: dict[str, Any], document: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = told(finished["id"])
    monkeypatch.setenv("GATETUNE_HOME", str(home))
    code = (
        "import sys, search\n"
        f"shown = search.launch(sys.argv[1], {FEW})\n"
        "print(shown['id'], shown['status'], shown['trials']['complete'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(document)], capture_output=True, text=True, check=True
    )
    job_id, status, complete = done.stdout.split()
    assert (status, len(searched)) == ("finished", 5)
    assert int(complete) == [state for _, state, *_ in searched].count("complete")
    assert told(job_id) == searched


def test_stop_ends_a_job_from_another_process(document: Path, home: Path) -> None:
    running = start("launch", str(document), "--set", "budget.trials=1000")
    line = read_until(running, r"^job ")
    read_until(running, r"trial 001 .* after")
    stopped = ask("stop", line.split()[1])
    running.communicate()
    assert (stopped["status"], running.returncode) == ("stopped", 130)
    assert stopped["trials"]["running"] == 0


def test_a_target_is_reached_by_weights_that_are_kept(document: Path, home: Path) -> None:
    """Epochs this short leave checkpoints but every few seconds; the one that decides is kept."""
    words = ["budget={trials: 8, target: 0.6}", "pruner=none", "confirm.top=0", "baseline=[]"]
    words += ["space.learning_rate={low: 1.0e-2, high: 2.0e-2}", "training.epochs=200"]
    shown = run("launch", str(document), *(part for word in words for part in ("--set", word)))
    best = shown["best"]
    assert best["value"] >= 0.6
    epochs = {row["trial"]: row["epochs"] for row in ask("trials", shown["id"])}
    assert epochs[best["trial"]] < 200
    with np.load(home / "checkpoints" / shown["id"] / "champion" / "validation.npz") as answers:
        right = answers["outputs"][0].argmax(1) == answers["y"]
    assert right.mean() == pytest.approx(best["value"])
