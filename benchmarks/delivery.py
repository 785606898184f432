"""Tells how many results a second reach MLflow.

A result is one epoch of one trial, with five metrics. Trials report in turn to a study on SQLite
and on PostgreSQL, every epoch a commit that a power failure does not undo; the journal goes to an
MLflow server over HTTP. Beside it, on the same server in the same run, what is used instead:
MLflowLoggerCallback, which sends every metric by itself, and one request for each result.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial

from benchmarks.bench import Answer, answer, goal, parser, ratios, spread
from benchmarks.leased import Leased, leased
from benchmarks.sleeper import metrics_at
from search.common.home import Home
from search.common.trial import Verdict
from search.database.store import undelivered
from search.service.serving import TrackingServer
from search.study.study import JobStudy
from search.tracking.courier import Courier
from search.tracking.handover import Delivery
from search.tracking.tracking import Tracking
from tests.servers import Postgres, free_port

DOCUMENT = """
name: delivery
data: {{source: digits}}
space:
  cell: [lstm, gru]
  learning_rate: {{low: 1.0e-4, high: 3.0e-2, log: true}}
sampler: random
pruner: none
training: {{epochs: {epochs}}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""
EPOCHS = 50
CALLBACK = "MLflowLoggerCallback"
LIVE = 64
"""Trials that report in turn."""


def report_all(study: JobStudy) -> float:
    """Let all trials report all epochs; return the seconds that the reports took."""
    took = 0.0
    while not study.done:
        while len(study.live) < LIVE and study.ask() is not None:
            pass
        for number, live in list(study.live.items()):
            epoch = live.acknowledged + 1
            outcome = "complete" if epoch == EPOCHS else "running"
            metrics = metrics_at(number, epoch)
            began = time.perf_counter()
            verdict = study.report(number, epoch, metrics, outcome)
            took += time.perf_counter() - began
            assert (verdict is Verdict.COMPLETE) == (epoch == EPOCHS)
    return took


def in_turn(job: Leased) -> tuple[float, float]:
    """Return the seconds of committing all results, and then of delivering them all."""
    committing = report_all(job.study)
    began = time.perf_counter()
    tracking = Tracking(job.home, job.lease.job_id, "delivery")
    Delivery(job.store, job.lease.job_id, job.lease.owner, tracking).finish()
    return committing, time.perf_counter() - began


def at_once(job: Leased) -> float:
    """Return the seconds of both side by side, from the first trial until MLflow has all."""
    courier = Courier(job.home, job.lease.job_id, job.lease.owner)
    while undelivered(job.store, job.lease.job_id):  # it starts, and tells of the parent run
        time.sleep(0.1)
    began = time.perf_counter()
    report_all(job.study)
    assert courier.drain(), "MLflow did not take everything"
    return time.perf_counter() - began


def check(job: Leased, trials: int) -> None:
    """Make sure that the server has it all."""
    assert undelivered(job.store, job.lease.job_id) == 0
    client = MlflowClient(job.home.tracking_uri)
    experiment = client.get_experiment_by_name("delivery")
    assert experiment is not None
    tag = f"tags.`gatetune.job` = '{job.lease.job_id}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment.experiment_id], tag, max_results=10_000)
    assert len(runs) == trials
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "val_loss")) == EPOCHS


def by_callback(server: str, trials: int) -> float:
    """Return the seconds that Ray's callback needs for trials with their results."""
    callback = MLflowLoggerCallback(tracking_uri=server, experiment_name="callback")
    callback.setup()
    began = time.perf_counter()
    for number in range(trials):
        trial = Trial("trivial", stub=True, config={"cell": "gru", "learning_rate": 0.001})
        callback.log_trial_start(trial)
        for epoch in range(1, EPOCHS + 1):
            result = {"training_iteration": epoch, **metrics_at(number, epoch)}
            callback.log_trial_result(epoch, trial, result)
        callback.log_trial_end(trial)
    return time.perf_counter() - began


def by_batch(server: str, trials: int) -> float:
    """Return the seconds that trials need with a request for each result."""
    client = MlflowClient(server)
    found = client.get_experiment_by_name("batch")
    experiment = found.experiment_id if found else client.create_experiment("batch")
    began = time.perf_counter()
    for number in range(trials):
        run = client.create_run(experiment).info.run_id
        for epoch in range(1, EPOCHS + 1):
            now = int(time.time() * 1000)
            metrics = [Metric(k, v, now, epoch) for k, v in metrics_at(number, epoch).items()]
            client.log_batch(run, metrics)
        client.set_terminated(run)
    return time.perf_counter() - began


def ours(name: str, database: str | None, server: str, trials: int) -> dict[str, float]:
    """Return results a second of Gatetune with its study in one database."""
    document = DOCUMENT.format(trials=trials, epochs=EPOCHS)
    results = trials * EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        with leased(document, Path(folder), database=database, tracking=server) as job:
            committing, delivering = in_turn(job)
            check(job, trials)
        with leased(document, Path(folder), database=database, tracking=server) as job:
            both = at_once(job)
            check(job, trials)
    return {
        f"{name}, commits": results / committing,
        f"{name}, journal to MLflow": results / delivering,
        f"{name}, both at once": results / both,
    }


def glue(server: str, trials: int) -> dict[str, float]:
    """Return results a second of what is used instead."""
    return {
        CALLBACK: trials * EPOCHS / by_callback(server, trials),
        "a log_batch a result": trials * EPOCHS / by_batch(server, trials),
    }


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Yield the URL of an MLflow server that lasts as long as the block."""
    home = replace(
        Home.from_environment(), path=folder, tracking_uri=f"sqlite:///{folder}/mlflow.db"
    )
    server = TrackingServer(home, free_port())
    try:
        server.begin()
        yield server.url
    finally:
        server.end()


def measure(options: argparse.Namespace) -> Answer:
    """Alternate the ways, so that a noisy neighbour hits all of them."""
    trials, glue_trials, rounds = (20, 1, 1) if options.short else (200, 10, 3)
    rates: dict[str, list[float]] = {}
    postgres = Postgres(durable=True)
    postgres.start()
    try:
        with tempfile.TemporaryDirectory() as folder, mlflow_server(Path(folder)) as server:
            for _ in range(rounds):
                for found in (
                    ours("SQLite", None, server, trials),
                    ours("PostgreSQL", postgres.url, server, trials),
                    glue(server, glue_trials),
                ):
                    for way, rate in found.items():
                        rates.setdefault(way, []).append(rate)
    finally:
        postgres.remove()
    rows = [
        (way, spread(each, ".0f"), spread(ratios(rates[CALLBACK], each), ".1f"))
        for way, each in rates.items()
    ]
    at_a_time = min(trials, LIVE)
    remarks = [
        f"{trials} trials of {EPOCHS} epochs, {at_a_time} at a time; {glue_trials} for the others.",
        "What goes to MLflow includes the start and the end of every run.",
        *(
            goal(
                f"500 results a second, {what}",
                reached=all(
                    statistics.median(each) >= 500
                    for way, each in rates.items()
                    if way.endswith(what)
                ),
            )
            for what in ("journal to MLflow", "both at once")
        ),
    ]
    return Answer(("", "results a second", "times the callback"), rows, remarks)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
