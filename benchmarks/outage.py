"""Shows whether an MLflow that is away slows trials down, and whether anything is missing then.

Runs one job of like trials against a real MLflow server, takes the server away in the middle,
and compares the trials that ran meanwhile with the others of the same job. Then `gatetune doctor`
compares every metric of every epoch.

    python -m benchmarks.outage --away 60
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from search.home import Home
from search.serving import HOST, await_answer, end, start
from search.store import Store
from search.tables import PARENT, JournalRow, Run

DOCUMENT = """
name: outage
data: {source: digits}
space:
  cell: [gru]
  learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}
sampler: random
pruner: none
training: {epochs: 4, hidden_size: 32, layers: 1}
budget: {trials: TRIALS}
confirm: {top: 0}
"""


def serve(home: Home, port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start an MLflow server over the state of ``home``, and wait until it answers."""
    server = start(home, port, log)
    await_answer(server, f"http://{HOST}:{port}/health", str(log))
    return server


def trial_seconds(store: Store) -> list[tuple[float, float, float]]:
    """Return of each trial when it started and ended, and the seconds of its median epoch."""
    with store.session() as session:
        runs = session.scalars(select(Run).where(Run.trial != PARENT)).all()
        rows = session.scalars(select(JournalRow).where(JournalRow.trial != PARENT)).all()
    epochs: dict[int, list[float]] = {}
    for row in rows:
        epochs.setdefault(row.trial, []).append(json.loads(row.metrics)["epoch_s"])
    return [
        (run.started_ms / 1000, (run.ended_ms or 0) / 1000, statistics.median(epochs[run.trial]))
        for run in runs
    ]


def measure(folder: Path, *, trials: int, before_s: float, away_s: float) -> dict[str, Any]:
    """Run the job with an outage of ``away_s`` and return what was seen."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    document = folder / "outage.yaml"
    document.write_text(DOCUMENT.replace("TRIALS", str(trials)), encoding="utf-8")
    os.environ["GATETUNE_HOME"] = str(folder / "home")
    embedded = Home.from_environment()
    embedded.create()
    log = folder / "server.log"
    server = serve(embedded, port, log)
    os.environ["MLFLOW_TRACKING_URI"] = f"http://{HOST}:{port}"
    gatetune = [sys.executable, "-m", "search"]
    with (folder / "job.log").open("w") as output:
        job = subprocess.Popen([*gatetune, "launch", str(document)], stdout=output, stderr=output)
        store = Store(embedded.database_url)
        while not (embedded.path / "gatetune.db").exists():
            time.sleep(0.2)
        time.sleep(before_s)
        end(server)
        gone = time.time()
        time.sleep(away_s)
        back = time.time()
        server = serve(embedded, port, log)
        job.wait()
    examined = subprocess.run(
        [*gatetune, "doctor", "--json"], capture_output=True, text=True, check=False
    )
    end(server)
    seen = trial_seconds(store)
    store.close()
    return {
        "job": job.returncode,
        "doctor": json.loads(examined.stdout),
        "during": [one for one in seen if gone <= one[0] and one[1] <= back],
        "outside": [one for one in seen if one[1] < gone or one[0] > back],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--before", type=float, default=30.0, help="seconds before the outage")
    parser.add_argument("--away", type=float, default=60.0, help="seconds without MLflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = measure(
            Path(folder), trials=options.trials, before_s=options.before, away_s=options.away
        )
    table = Table("", "trials", "s a trial, median", "s an epoch, median")
    medians = []
    for name in ("outside", "during"):
        trials = seen[name]
        medians.append(statistics.median(stop - start for start, stop, _ in trials))
        epoch = statistics.median(one[2] for one in trials)
        table.add_row(f"{name} the outage", str(len(trials)), f"{medians[-1]:.2f}", f"{epoch:.3f}")
    console = Console()
    console.print(table)
    console.print(f"ratio during / outside: {medians[1] / medians[0]:.2f}")
    (job,) = seen["doctor"]["jobs"]
    examined = job["examined"]
    console.print(
        f"job exit code {seen['job']}; doctor compared {examined['epochs']} epochs of "
        f"{examined['runs']} runs: {len(job['findings'])} disagreements"
    )


if __name__ == "__main__":
    main()
