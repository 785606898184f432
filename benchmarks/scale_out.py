"""Tells how a search scales out, and where its driver's own limit is.

On Ray: trials that sleep, on clusters of nodes with 8 logical processors each, all on this machine.
The ideal time is trials x seconds / slots. "Steady" is from when a third of the trials have started
until the last one does; "in all" also holds the start of the workers and the end, when slots run
dry.

Without Ray: how many results a second the driver decides on, its commits to the study included,
when so many trials are live.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from ray.cluster_utils import Cluster

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.driven import Watcher
from benchmarks.executor import Executor
from benchmarks.leased import DOCUMENT, leased
from benchmarks.sleeper import Sleeper
from search.cluster import cluster
from search.trial import LiveTrial, Verdict
from tests.servers import Postgres, free_port

CPUS = 8
"""Logical processors of a node."""

EPOCHS = 20
"""Epochs of a trial without Ray."""

HALVING = f"{{name: successive-halving, min_resource: {EPOCHS // 2}}}"
"""Half of the trials end at half of their epochs."""


class Clock(Watcher):
    """Counts epochs in the steady state."""

    def __init__(self, trials: int) -> None:
        self.first, self.last = trials // 3, trials
        self.asks = self.epochs = 0
        self.times: list[float] = []

    def asked(self, live: LiveTrial) -> None:
        """Count a start; begin and end the steady state."""
        self.asks += 1
        if self.asks in {self.first, self.last}:
            self.times.append(time.perf_counter())

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """Count an epoch."""
        self.epochs += len(self.times) == 1

    def rate(self) -> float:
        """Return the epochs a second."""
        began, ended = self.times
        return self.epochs / (ended - began)


@contextmanager
def nodes(number: int) -> Iterator[None]:
    """Run a cluster of so many nodes, whose files are its own, and be its driver."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, RAY_TMPDIR=folder):
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": CPUS,
                "include_dashboard": False,
                "dashboard_port": free_port(),  # taken all the same
            },
        )
        try:
            for _ in range(number - 1):
                made.add_node(num_cpus=CPUS)
            with cluster(made.address):
                yield
        finally:
            made.shutdown()


def on_ray(number: int, *, epochs: int, epoch_s: float, rounds: int) -> tuple[str, ...]:
    """Run a search on so many nodes and return the table's row."""
    slots = number * CPUS
    trials = slots * rounds
    document = DOCUMENT.format(name="scale-out", pruner="none", epochs=epochs, trials=trials)
    clock = Clock(trials)
    with (
        nodes(number),
        tempfile.TemporaryDirectory() as folder,
        leased(document, Path(folder), database=None) as job,
    ):
        began = time.perf_counter()
        job.engine(Sleeper, (epochs, epoch_s), clock).run()
        took = time.perf_counter() - began
        assert len(job.study.ended) == trials
    return (
        f"Ray, {number} node{'s' * (number > 1)}",
        f"{slots}",
        f"{clock.rate() * epoch_s / slots:.0%}",
        f"{trials * epochs / took * epoch_s / slots:.0%}",
        f"{clock.rate():.0f}",
        "",
    )


def without_ray(name: str, database: str | None, live: int, results: int) -> tuple[str, ...]:
    """Take results in this process and return the table's row."""
    document = DOCUMENT.format(
        name="scale-out", pruner=HALVING, epochs=EPOCHS, trials=live + results
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        leased(document, Path(folder), database=database) as job,
    ):
        executor = Executor(job.engine(Sleeper, None, Watcher()), live, EPOCHS)
        executor.fill()
        first = executor.started, executor.starting_s
        executor.run(results)
    starting = (executor.starting_s - first[1]) / max(1, executor.started - first[0])
    return (
        f"no Ray, {name}",
        f"{live:,}",
        "",
        "",
        f"{results / executor.reporting_s:.0f}",
        f"{starting * 1000:.0f} ms",
    )


def driver_alone(*, short: bool) -> list[tuple[str, ...]]:
    """Return the table's rows of a driver without Ray."""
    server = Postgres(durable=True)
    server.start()
    try:
        return [
            without_ray(name, database, live, results=500 if short else 5000)
            for name, database in (("SQLite", None), ("PostgreSQL", server.url))
            for live in ((16, 64) if short else (16, 64, 256, 1000))
        ]
    finally:
        server.remove()


def measure(options: argparse.Namespace) -> Answer:
    """Measure on Ray, then without it."""
    short = options.short
    epochs, epoch_s, rounds = (3, 1.0, 5) if short else (5, 2.0, 10)
    clusters = (1, 2) if short else (1, 2, 4, 8)
    rows = [on_ray(n, epochs=epochs, epoch_s=epoch_s, rounds=rounds) for n in clusters]
    alone = driver_alone(short=short)
    remarks = [
        f"On Ray: {rounds} trials for each slot, of {epochs} epochs of {epoch_s:.0f} s.",
        "Percentages are of the ideal. Results a second on Ray are what the trials give.",
        goal(
            f"steady at 90% of the ideal with {rows[-1][1]} trials",
            reached=float(rows[-1][2].rstrip("%")) >= 90,
        ),
        goal("500 results a second", reached=all(float(one[4]) >= 500 for one in alone)),
    ]
    return Answer(
        ("", "live trials", "steady", "in all", "results a second", "a start"),
        [*rows, *alone],
        remarks,
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
