"""Tells what the machinery costs.

Both sides run the same trivial objective in turn, each time in a process of its own with a new Ray:
Gatetune with its study in SQLite, journal and MLflow delivery; the glue as the libraries' documents
show it, OptunaSearch with SQLite storage, ASHAScheduler and MLflowLoggerCallback with their
defaults. The start of Ray and the driver's imports are not counted, the glue's workers' are; of
Gatetune's, those are not that a local Ray has ready before its first trial.

Then trials that train: from the command on, beside the seconds of their epochs divided by two
workers; to the last epoch, and to the end of the command, which also measures, exports, checks and
registers the winner. An epoch's seconds are those that its worker took while driver and delivery
computed on the same processors: what these take from it counts as training.
"""

import argparse
import contextlib
import io
import json
import math
import os
import sqlite3
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ray import tune

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
from benchmarks.driven import Took, Watcher, search
from benchmarks.startup import command
from benchmarks.time_to_target import run
from benchmarks.trivial import objective
from search.common.garbage import collect_seldom
from search.driver.cluster import QUIET, cluster

TRAINING = """
name: training
data: {{source: mnist-5k}}
space: {{learning_rate: {{low: 1.0e-3, high: 1.0e-2, log: true}}}}
training: {{cell: lstm, hidden_size: 192, layers: 1, epochs: {epochs}}}
pruner: none
budget: {{trials: {trials}}}
workers: {{concurrent: 2}}
confirm: {{top: 0}}
"""


def alone(work: Callable[[int, Path], Took], trials: int) -> Took:
    """Return what a process of its own takes, in which nobody has worked before."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        return pool.submit(work, trials, Path(folder)).result()


def gatetune(trials: int, folder: Path) -> Took:
    """Return the seconds that Gatetune needs for the trials."""
    import optuna.samplers  # noqa: F401 - which the glue has imported when its time begins, too

    warnings.filterwarnings("ignore")
    collect_seldom()  # as `launch` does
    with cluster(None):
        return search(trials, folder, Watcher())


def glue(trials: int, folder: Path) -> Took:
    """Return the seconds that the usual glue needs for the trials; it delivers as it goes."""
    import optuna
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any]) -> None:
        value = objective(config["learning_rate"], config["layers"])
        tune.report({"val_accuracy": value, "val_loss": 1 - value, "train_loss": 1 - value})

    space = {
        "cell": tune.choice(["lstm", "gru"]),
        "hidden_size": tune.randint(8, 257),
        "layers": tune.randint(1, 4),
        "learning_rate": tune.loguniform(1e-4, 3e-2),
    }
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    warnings.filterwarnings("ignore")
    with (
        cluster(None),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        for name in QUIET:
            os.environ.pop(name, None)  # it has Tune's own settings
        began = time.perf_counter()
        tune.Tuner(
            train,
            param_space=space,
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(
                    metric="val_accuracy", mode="max", storage=storage, study_name="glue"
                ),
                scheduler=ASHAScheduler(metric="val_accuracy", mode="max"),
                num_samples=trials,
            ),
            run_config=tune.RunConfig(
                name="glue",
                storage_path=str(folder),
                callbacks=[
                    MLflowLoggerCallback(
                        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="glue"
                    )
                ],
            ),
        ).fit()
        return Took(time.perf_counter() - began, 0.0)


@dataclass(frozen=True)
class Trained:
    """Seconds of a search that trains.

    Attributes:
        training: of all epochs, divided by two workers.
        until: from the command to its last epoch, and to its end.
        epoch: in the median.
    """

    training: float
    until: dict[str, float]
    epoch: float

    def beyond(self, what: str) -> float:
        """Return how many more than those of training it took until then."""
        return self.until[what] - self.training


def training(trials: int, epochs: int) -> Trained:
    """Run a search that trains."""
    with tempfile.TemporaryDirectory() as folder:
        document, home = Path(folder) / "job.yaml", Path(folder) / "home"
        document.write_text(TRAINING.format(epochs=epochs, trials=trials), encoding="utf-8")
        began, took = run(command("launch", str(document)), {"GATETUNE_HOME": str(home)})
        with contextlib.closing(sqlite3.connect(home / "gatetune.db")) as opened:
            found = opened.execute(
                "SELECT time_ms, metrics FROM journal WHERE trial >= 0"
            ).fetchall()
    assert len(found) == trials * epochs
    seconds = [json.loads(metrics)["epoch_s"] for _, metrics in found]
    searched = max(time_ms for time_ms, _ in found) / 1000 - began
    until = {"to the last epoch": searched, "to the end": took}
    return Trained(sum(seconds) / 2, until, statistics.median(seconds))


def lasting(seconds: float) -> int:
    """Return how many epochs a trial of two at once trains in so long, after a short search."""
    return math.ceil(seconds / training(4, 8).epoch)


def trained_rows(trials: int, runs: Sequence[Trained]) -> list[tuple[str, str, str]]:
    """Return the table's rows of a search that trains, which ran several times."""
    each_s = 2 * statistics.fmean(one.training for one in runs) / trials
    return [
        (
            f"{trials} trials that train for {each_s:.0f} s, {what}",
            spread([one.beyond(what) / trials for one in runs], ".3f"),
            spread([100 * one.beyond(what) / one.training for one in runs], ".1f")
            + "% above training",
        )
        for what in runs[0].until
    ]


def measure(options: argparse.Namespace) -> Answer:
    """Alternate the two, so that a noisy neighbour hits both."""
    trials = 50 if options.short else 200
    need_two_processors()
    ours, theirs, searching = [], [], []
    warm()
    for _ in range(2 if options.short else 3):
        took = alone(gatetune, trials)
        ours.append((took.searching + took.draining) / trials)
        searching.append(took.searching / trials)
        theirs.append(alone(glue, trials).searching / trials)
    rows = [
        (f"Gatetune, {trials} trials", spread(ours, ".3f"), "1"),
        ("without the delivery that goes on afterwards", spread(searching, ".3f"), ""),
        (f"glue, {trials} trials", spread(theirs, ".3f"), spread(ratios(ours, theirs), ".0f")),
    ]
    if not options.short:
        long = alone(gatetune, 2000)
        cost = (long.searching + long.draining) / 2000
        rows.insert(1, ("Gatetune, 2,000 trials", f"{cost:.3f}", ""))
    few, epochs, rounds = (6, 5, 1) if options.short else (30, lasting(20.0), 2)
    trained = [training(few, epochs) for _ in range(rounds)]
    rows += trained_rows(few, trained)
    return Answer(
        ("", "seconds a trial", "ratio"),
        rows,
        [
            "Trials that train are told beyond their epochs, the start of the command included.",
            goal("0.06 s a trial", reached=statistics.median(ours) <= 0.06),
            goal("40 times less", reached=statistics.median(ratios(ours, theirs)) >= 40),
            *(
                goal(
                    f"trials of 20 s, {what}, 5% above training",
                    reached=all(one.beyond(what) <= 0.05 * one.training for one in trained),
                )
                for what in trained[0].until
            ),
        ],
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
