"""Tells how fast a start is.

From the command to the first epoch that the study knows, beside a script that imports torch and
starts Ray as it is, and does nothing with them; and beside one that then has a worker import torch,
which any epoch needs. And the commands that only look, which import neither. Before each round, the
libraries' files are read into memory.
"""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.bench import Answer, answer, goal, parser, ratios, spread, warm

DOCUMENT = """
name: startup
data: {source: digits}
space: {learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}}
training: {epochs: 1, hidden_size: 8, layers: 1}
budget: {trials: 2}
confirm: {top: 0}
"""

BARE = """
import torch, ray
ray.init(include_dashboard=False, logging_level=50, log_to_driver=False)
"""

THERE = "print('there', flush=True)"
"""What takes place after that, Ray's end above all, is no start."""

WORKER = """
ray.get(ray.remote(lambda: __import__("torch").get_num_threads()).remote())
"""
"""A worker that has imported torch."""


def command(*arguments: str) -> list[str]:
    """Return the command line of a command."""
    return [str(Path(sys.executable).with_name("gatetune")), *arguments]


def seconds(call: list[str]) -> float:
    """Return how long a process takes."""
    began = time.perf_counter()
    subprocess.run(call, check=True, capture_output=True)
    return time.perf_counter() - began


def seconds_to_line(script: str) -> float:
    """Return how long a script takes until it prints a line."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
    assert line, "it ended before"
    assert process.returncode == 0, "it failed at its end"
    return took


def first_epoch(folder: Path) -> float:
    """Return the seconds from a launch to the first epoch in the journal."""
    document = folder / "job.yaml"
    document.write_text(DOCUMENT)
    database = folder / "home" / "gatetune.db"
    os.environ["GATETUNE_HOME"] = str(database.parent)
    began = time.perf_counter()
    with subprocess.Popen(
        command("launch", str(document)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        took = 0.0
        while process.poll() is None:
            if not took and has_epoch(database):
                took = time.perf_counter() - began
            time.sleep(0.01)
        assert process.stderr is not None
        assert process.returncode == 0, process.stderr.read().decode()
    return took


def has_epoch(database: Path) -> bool:
    """Whether the journal has an epoch yet."""
    if not database.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            return bool(opened.execute("SELECT count(*) FROM journal").fetchone()[0])
    except sqlite3.OperationalError:  # the tables are being made
        return False


def measure(options: argparse.Namespace) -> Answer:
    """Alternate the measurements, so that a noisy neighbour hits all of them."""
    launch, bare, worker, helped, shown = [], [], [], [], []
    for _ in range(3 if options.short else 7):
        warm()
        bare.append(seconds_to_line(BARE + THERE))
        worker.append(seconds_to_line(BARE + WORKER + THERE))
        with tempfile.TemporaryDirectory() as folder:
            launch.append(first_epoch(Path(folder)))
            helped.append(seconds(command("--help")))
            shown.append(seconds(command("show", "startup")))
    rows = [
        ("torch imported, and Ray started", spread(bare), "1"),
        ("the same, and torch in a worker", spread(worker), spread(ratios(bare, worker))),
        ("`launch` to the first epoch", spread(launch), spread(ratios(bare, launch))),
        ("`--help`", spread(helped), ""),
        ("`show`", spread(shown), ""),
    ]
    looked = statistics.median(helped), statistics.median(shown)
    goals = [
        goal("at most twice", reached=statistics.median(ratios(bare, launch)) <= 2),
        goal("help and show within 0.5 s", reached=max(looked) <= 0.5),
    ]
    return Answer(("start", "seconds", "ratio"), rows, goals)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
