"""What the machinery costs: trivial trials with everything on, beside the usual glue.

Both sides run the same trivial objective on the same Ray in one run: Gatetune with its study in
SQLite, journal and MLflow delivery; the glue as the libraries' documents show it, OptunaSearch with
SQLite storage, ASHAScheduler and MLflowLoggerCallback with their defaults. Run with
``python -m benchmarks.overhead [--trials 200] [--glue-trials 40]``.
"""

import argparse
import contextlib
import io
import os
import platform
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console
from rich.table import Table

DOCUMENT = """
name: overhead
data: {{source: digits}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 8, high: 256}}
  layers: {{low: 1, high: 3}}
  learning_rate: {{low: 1.0e-4, high: 3.0e-2, log: true}}
training: {{epochs: 1}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""


def objective(learning_rate: float, layers: int) -> float:
    """Return a number that costs nothing to compute."""
    return 1.0 - abs(learning_rate - 0.003) - 0.01 * layers


class TrivialTrial(tune.Trainable):
    """Trains nothing; keeps the contract of `RecurrentTrial`."""

    def setup(self, config: dict[str, Any], data: None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Take the parameters."""
        self.parameters = config["parameters"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's parameters."""
        self.parameters = new_config["parameters"]
        return True

    def step(self) -> dict[str, Any]:
        """Report one epoch."""
        value = objective(self.parameters["learning_rate"], self.parameters["layers"])
        metrics = {"val_accuracy": value, "val_loss": 1 - value, "train_loss": 1 - value}
        return {"epoch": 1, "metrics": metrics, "outcome": "complete", "damaged": ()}


def gatetune(trials: int, folder: Path) -> float:
    """Return the seconds that Gatetune needs for the trials, delivery to MLflow included."""
    os.environ["GATETUNE_HOME"] = str(folder)
    from search import driver, jobs
    from search.courier import Courier
    from search.home import Home
    from search.lease import Lease
    from search.progress import Progress
    from search.spec import parse_job
    from search.store import Store, undelivered

    text = DOCUMENT.format(trials=trials)
    spec = parse_job(text)
    home = Home.from_environment()
    home.create()
    store = Store.open(home.database_url)
    job_id = jobs.create(
        store, spec, text, owner="bench", dataset={"name": "none", "fingerprint": "0" * 64}
    )
    vars(driver)["RecurrentTrial"] = TrivialTrial
    progress = Progress(Console(quiet=True), job_id, "")
    one = driver.Driver(home, store, Lease(store, job_id), spec, None, progress)
    began = time.perf_counter()
    with one.lease:
        one.row.begin()
        courier = Courier(home, job_id, one.lease.owner)
        ran = one.run_study("searching", job_id, [], None)  # type: ignore[arg-type]
        searched = time.perf_counter() - began
        assert courier.drain(), "MLflow did not take everything"
    took = time.perf_counter() - began
    assert len(ran) == trials
    assert undelivered(store, job_id) == 0
    print(f"  search {searched:.1f} s, delivery drained after {took - searched:.1f} s more")
    store.close()
    return took


def glue(trials: int, folder: Path) -> float:
    """Return the seconds that the usual glue needs for the trials."""
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
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
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
    return time.perf_counter() - began


def main() -> None:
    """Run both sides and print the cost a trial and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="trials of Gatetune")
    parser.add_argument(
        "--glue-trials", type=int, default=40, help="trials of the glue, which is slow"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    from search.cluster import cluster

    ours, theirs = [], []
    with cluster(None):
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours.append(gatetune(options.trials, Path(folder)) / options.trials)
            with tempfile.TemporaryDirectory() as folder:
                for name in ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "TUNE_MAX_PENDING_TRIALS_PG"):
                    os.environ.pop(name, None)
                theirs.append(glue(options.glue_trials, Path(folder)) / options.glue_trials)
                os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    table = Table("", "s a trial, median", "min", "max")
    for name, costs in (("Gatetune", ours), ("glue", theirs)):
        table.add_row(name, *(f"{f(costs):.3f}" for f in (statistics.median, min, max)))
    Console().print(table)
    ratios = [t / o for o, t in zip(ours, theirs, strict=True)]
    middle = statistics.median(ratios)
    print(f"ratio glue / Gatetune: {middle:.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"{os.cpu_count()} processors, {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
