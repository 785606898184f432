"""Tells how soon the peer's best is reached, and how much better the search is in the peer's time.

In turn, from the command on and each in a process of its own: the usual glue, which is in `glue`,
with a number of trials, and the search of `jobs/mnist-5k.yaml`, without baselines and confirmation,
for as long as the glue took. Both have the same data, space and epochs, and two workers of one
thread each, which share a GPU where there is one. The glue trains as the notebook does, Gatetune as
the job's document says, which was written for these data: with a one-cycle learning rate and
smoothed labels. Else it has its defaults, with bfloat16 where that is faster, and with a
portfolio that was made of other data alone (`unseen`). What of the gain is this training's, and
what the search's, tells a third search: Gatetune's, which trains as the glue does.

Of all, the luckiest epoch's validation accuracy counts from when the driver knows it, as it does
for whoever picks a winner by it; who trains more networks has more luck with one. The glue's time
ends with its process, and what Gatetune knows later does not count. Nobody knows the glue's best
before its end, so that its whole time is told, too. Before each, the libraries' files are read into
memory.
"""

import argparse
import json
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch

from benchmarks.bench import (
    Answer,
    answer,
    goal,
    need_two_processors,
    parser,
    ratios,
    spread,
    warm,
)
from benchmarks.unseen import write_portfolio

JOB = Path(__file__).parent.parent / "jobs" / "mnist-5k.yaml"
EPOCHS = 5

AS_THE_GLUE = {
    "training.schedule": "constant",
    "training.label_smoothing": 0.0,
    "training.precision": "float32",
    "training.clip_norm": "null",
}
"""Settings with which Gatetune trains as the glue does."""


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        curve: seconds since the command, and the best accuracy so far; one entry an epoch.
        trials: how many have an epoch by the end of the glue's time.
        took: seconds of the whole process.
    """

    curve: list[tuple[float, float]]
    trials: int
    took: float

    def best(self) -> float:
        """Return the best accuracy."""
        return self.curve[-1][1] if self.curve else 0.0

    def reached(self, target: float) -> float:
        """Return when an accuracy was reached, infinity where it never was."""
        return min((second for second, value in self.curve if value >= target), default=math.inf)


def run(call: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Run a process, the libraries' files in memory; return when it began, and how long it took."""
    warm()
    began = time.time()
    done = subprocess.run(
        call, env=os.environ | (environment or {}), check=False, capture_output=True, text=True
    )
    took = time.time() - began
    assert done.returncode == 0, done.stderr[-2000:]
    return began, took


def curve(epochs: Iterable[tuple[float, float]], began: float) -> list[tuple[float, float]]:
    """Return the best so far over the time since the beginning."""
    ordered = sorted(epochs)
    best = accumulate((value for _, value in ordered), max)
    return [(at - began, value) for (at, _), value in zip(ordered, best, strict=True)]


def gatetune(seed: int, for_s: float, training: Mapping[str, object]) -> Run:
    """Search with Gatetune for as long as the glue took, with some settings of the training."""
    with tempfile.TemporaryDirectory() as folder:
        portfolio = Path(folder) / "portfolio.json"
        write_portfolio(portfolio, "mnist-5k")
        settings = {
            "budget.trials": 1000,
            "budget.hours": for_s / 3600,
            "training.epochs": EPOCHS,
            "seed": seed,
            "baseline": "[]",
            "confirm.top": 0,
            "workers.concurrent": 2,
            "workers.gpus": 0.5 if torch.cuda.is_available() else 0,
            **training,
        }
        given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        call = [sys.executable, "-m", "benchmarks.unseen", str(portfolio), "launch", str(JOB)]
        call += given
        began, took = run(call, {"GATETUNE_HOME": folder})
        known = [one for one in journal(Path(folder) / "gatetune.db") if one[0] <= began + for_s]
        trials = len({trial for _, _, trial in known})
        return Run(curve([(at, value) for at, value, _ in known], began), trials, took)


def journal(database: Path) -> Iterator[tuple[float, float, int]]:
    """Yield time, accuracy and trial of every epoch that a database has."""
    with closing(sqlite3.connect(database)) as opened:
        for time_ms, metrics, trial in opened.execute(
            "SELECT time_ms, metrics, trial FROM journal WHERE trial >= 0"
        ):
            yield time_ms / 1000, json.loads(metrics).get("val_accuracy", 0.0), trial


def glue(seed: int, trials: int) -> Run:
    """Search with the usual glue."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"--seed": seed, "--trials": trials, "--epochs": EPOCHS, "--folder": folder}
        given = [str(word) for pair in settings.items() for word in pair]
        began, took = run([sys.executable, "-m", "benchmarks.glue", *given])
        lines = (Path(folder) / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
        return Run(curve([tuple(json.loads(line)) for line in lines], began), trials, took)


def measure(options: argparse.Namespace) -> Answer:
    """Alternate them, so that a noisy neighbour hits all."""
    need_two_processors()
    seeds, trials = (1, 4) if options.short else (options.seeds, options.trials)
    theirs, ours, alike = [], [], []
    for seed in range(seeds):
        theirs.append(glue(seed, trials))
        ours.append(gatetune(seed, theirs[-1].took, {}))
        alike.append(gatetune(seed, theirs[-1].took, AS_THE_GLUE))
    targets = [run.best() for run in theirs]

    def sooner(runs: Sequence[Run]) -> list[float]:
        return [run.reached(best) for run, best in zip(runs, targets, strict=True)]

    def errors(runs: Sequence[Run]) -> list[float]:
        return [100 * (1 - run.best()) for run in runs]

    def row(
        what: str, glues: Sequence[float], of: Callable[[Sequence[Run]], Sequence[float]], form: str
    ) -> tuple[str, ...]:
        cells = [what, spread(glues, form)]
        for found in map(of, (ours, alike)):
            cells += [spread(found, form), spread(ratios(glues, found))]
        return tuple(cells)

    return Answer(
        (
            f"the glue with {trials} trials, {seeds} seeds",
            "the glue",
            "Gatetune",
            "its share",
            "trained as the glue trains",
            "its share",
        ),
        [
            row("seconds to the glue's best", sooner(theirs), sooner, ".0f"),
            row(
                "the same beside the glue's whole time",
                [run.took for run in theirs],
                sooner,
                ".0f",
            ),
            row("error in the glue's time, percent", errors(theirs), errors, ".2f"),
            row(
                "trials with an epoch by then",
                [run.trials for run in theirs],
                lambda runs: [run.trials for run in runs],
                ".0f",
            ),
        ],
        [
            goal(
                "a fifth of the glue's time or less",
                reached=statistics.median(ratios(sooner(theirs), sooner(ours))) <= 1 / 5,
            ),
            goal(
                "two thirds of its error or less",
                reached=statistics.median(ratios(errors(theirs), errors(ours))) <= 2 / 3,
            ),
            *([f"On {torch.cuda.get_device_name(0)}."] if torch.cuda.is_available() else []),
        ],
    )


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5, help="repetitions")
    options.add_argument("--trials", type=int, default=20, help="trials of a search")
    answer(options.parse_args(), measure)
