"""Tells whether an MLflow that is away slows trials down, and whether anything is missing then.

One job of like trials against a real MLflow server, which is killed in the middle and started
again: the trials that ran meanwhile beside the others of the same job. Then `gatetune doctor`
compares every metric of every epoch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from benchmarks.bench import Answer, answer, parser
from search.common.home import Home
from search.database.store import Store
from search.database.tables import PARENT, JournalRow, Run
from search.service.serving import TrackingServer
from tests.servers import free_port

DOCUMENT = """
name: outage
data: {source: digits}
space:
  cell: [gru]
  learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}
sampler: random
pruner: none
training: {epochs: 4, hidden_size: 32, layers: 1}
budget: {trials: 100000, hours: HOURS}
confirm: {top: 0}
"""


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


def run(folder: Path, *, before_s: float, away_s: float) -> dict[str, Any]:
    """Run the job with an outage of ``away_s`` and return what was seen."""
    document = folder / "outage.yaml"
    hours = (2 * before_s + away_s) / 3600  # so that the job is still there when MLflow is back
    document.write_text(DOCUMENT.replace("HOURS", str(hours)), encoding="utf-8")
    os.environ["GATETUNE_HOME"] = str(folder / "home")
    embedded = Home.from_environment()
    embedded.create()
    server = TrackingServer(embedded, free_port())
    server.begin()
    os.environ["MLFLOW_TRACKING_URI"] = server.url
    gatetune = [sys.executable, "-m", "search"]
    with (folder / "job.log").open("w") as output:
        job = subprocess.Popen([*gatetune, "launch", str(document)], stdout=output, stderr=output)
        store = Store(embedded.database_url)
        while not (embedded.path / "gatetune.db").exists():
            time.sleep(0.2)
        time.sleep(before_s)
        server.end()
        gone = time.time()
        time.sleep(away_s)
        back = time.time()
        server.begin()
        job.wait()
    examined = subprocess.run(
        [*gatetune, "doctor", "--json"], capture_output=True, text=True, check=False
    )
    server.end()
    seen = trial_seconds(store)
    store.close()
    return {
        "job": job.returncode,
        "doctor": json.loads(examined.stdout),
        "during": [one for one in seen if gone <= one[0] and one[1] <= back],
        "outside": [one for one in seen if one[1] < gone or one[0] > back],
    }


def measure(options: argparse.Namespace) -> Answer:
    """Run the job and compare its trials."""
    before_s, away_s = (15.0, 20.0) if options.short else (25.0, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        seen = run(Path(folder), before_s=before_s, away_s=away_s)
    rows, medians = [], []
    for name in ("outside", "during"):
        ran = seen[name]
        medians.append(statistics.median(stop - start for start, stop, _ in ran))
        epoch = statistics.median(one[2] for one in ran)
        ratio = f"{medians[-1] / medians[0]:.2f}"
        rows.append(
            (f"{name} the outage", f"{len(ran)}", f"{medians[-1]:.2f}", f"{epoch:.3f}", ratio)
        )
    (job,) = seen["doctor"]["jobs"]
    examined = job["examined"]
    return Answer(
        (f"{away_s:.0f} s without MLflow", "trials", "s a trial", "s an epoch", "ratio"),
        rows,
        [
            f"The job ended with exit code {seen['job']}.",
            f"Doctor compared {examined['epochs']} epochs of {examined['runs']} runs.",
            f"It found {len(job['findings'])} disagreements.",
        ],
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
