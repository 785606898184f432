"""Tells how many trials a search needs that starts from one on the other half of a data set.

The handwritten digits of scikit-learn are split into two halves, which share no image. One job
searches the first half, and starts as jobs do: from a portfolio, here one that was made of other
data alone (`unseen`). Jobs on the second half then start from nothing (`warm_start: none`), from
that portfolio, and from the first job: the same space, budget, seed and epochs. The target is the
validation loss that the searches from nothing have reached, in the median, after half of their
trials; it is told with which trial each of them reached it.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.bench import Answer, answer, parser, spread
from benchmarks.unseen import write_portfolio
from trainables.datasets import load_dataset

DOCUMENT = """
name: HALF
data: {source: HALF.npz}
space:
  cell: [lstm, gru]
  hidden_size: {low: 8, high: 64, step: 8}
  layers: [1, 2]
  head: [all-steps, last, mean]
  learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}
  batch_size: [16, 32, 64, 128]
training: {epochs: 12}
pruner: none
objective: {metric: val_loss}
budget: {trials: TRIALS}
confirm: {top: 0}
baseline: []
"""

TRIALS = 24

PORTFOLIO = "portfolio.json"

STARTS = {"nothing": "none", "the portfolio": "portfolio", "the first half's job": "[first]"}
"""What the second search starts from: a name, and the document's word for it."""


@dataclass(frozen=True)
class Installation:
    """A folder with its own jobs."""

    folder: Path

    def launch(self, half: str, seed: int, warm_start: str) -> list[float]:
        """Run a job on one half, and return its trials' losses in order, infinite if diverged."""
        document = self.folder / f"{half}.yaml"
        document.write_text(
            DOCUMENT.replace("HALF", half).replace("TRIALS", str(TRIALS)), encoding="utf-8"
        )
        job = self.call("launch", str(document), "--set", f"seed={seed}", "--set",
                        f"warm_start={warm_start}", "--json")  # fmt: skip
        rows = self.call("trials", job["id"], "--json")
        return [math.inf if row["value"] is None else row["value"] for row in rows]

    def call(self, *arguments: str) -> Any:
        """Call a command and return the JSON that it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.unseen", str(self.folder / PORTFOLIO), *arguments],
            env=os.environ | {"GATETUNE_HOME": str(self.folder / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)


def reached(losses: list[float], target: float) -> int:
    """Return with which trial, counted from 1, a loss was reached; one more than all if never."""
    return next((at for at, loss in enumerate(losses, start=1) if loss <= target), len(losses) + 1)


def halves(folder: Path) -> None:
    """Write two files that share no image."""
    data = load_dataset("digits", validation=0.2, seed=0, data_dir=Path())
    parts = (data.train, data.validation, data.test)
    x = np.concatenate([part.x for part in parts]).astype(np.float32)
    y = np.concatenate([part.y for part in parts])
    order = np.random.default_rng(0).permutation(len(y))
    for place, half in enumerate(("first", "second")):
        rows = order[place::2]
        np.savez(folder / f"{half}.npz", x=x[rows], y=y[rows])


def measure(options: argparse.Namespace) -> Answer:
    """Search both halves, with several seeds."""
    seeds = range(3 if options.short else 8)
    losses: dict[str, list[list[float]]] = {name: [] for name in STARTS}
    for seed in seeds:
        with TemporaryDirectory() as folder:
            halves(Path(folder))
            write_portfolio(Path(folder) / PORTFOLIO, "digits")
            here = Installation(Path(folder))
            here.launch("first", seed, "portfolio")
            for name, start in STARTS.items():
                losses[name].append(here.launch("second", seed, start))
        told = {name: round(min(found[-1]), 3) for name, found in losses.items()}
        print(f"seed {seed}: {told}", file=sys.stderr, flush=True)
    target = statistics.median(min(one[: TRIALS // 2]) for one in losses["nothing"])
    trials = {name: [reached(one, target) for one in found] for name, found in losses.items()}
    rows = [
        (
            f"from {name}",
            spread(trials[name], ".0f"),
            f"{sum(one <= TRIALS for one in trials[name])} of {len(seeds)}",
            spread([min(one) for one in found], ".3f"),
        )
        for name, found in losses.items()
    ]
    cold, usual, warm = (statistics.median(trials[name]) for name in STARTS)
    return Answer(
        ("the second search starts", "trials to the target", "reached by", "best loss"),
        rows,
        (
            f"{len(seeds)} seeds, {TRIALS} trials each. The target: {target:.3f}.",
            f"From the first half's job it takes, in the median, {warm / cold:.2f} of the trials.",
            f"Compared with the portfolio it takes {warm / usual:.2f} of the trials.",
        ),
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
