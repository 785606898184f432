"""Tells how a search scales out, and where its driver's own limit is.

On Ray: trials that sleep, on clusters of nodes with 8 logical processors each, all on this machine.
The ideal time is trials x seconds / slots. "Steady" is from when about a third of the trials have
started, as many as have all slots begin anew, until the last one does; "in all" also holds the
start of the workers and the end, when slots run dry.

Without Ray: how many results a second the driver decides on when so many trials are live, its
commits to the study included; what the start of a trial takes; and how many results a second it
handles where each trial that ends is followed by another.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from ray.cluster_utils import Cluster

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.driven import Watcher
from benchmarks.executor import Executor
from benchmarks.leased import DOCUMENT, leased
from benchmarks.sleeper import Sleeper
from search.common.trial import LiveTrial, Verdict
from search.driver.cluster import cluster
from tests.servers import Postgres, free_port

CPUS = 8
"""Logical processors of a node."""

EPOCHS = 20
"""Epochs of a trial without Ray."""

HALVING = f"{{name: successive-halving, min_resource: {EPOCHS // 2}}}"
"""Half of the trials end at half of their epochs."""


class Clock(Watcher):
    """Counts epochs in the steady state.

    Args:
        trials: of the search.
        slots: that they fill, all of which start about at once.
    """

    def __init__(self, trials: int, slots: int) -> None:
        self.first, self.last = trials // 3 // slots * slots, trials
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


@dataclass(frozen=True)
class OnRay:
    """A search on a cluster.

    Attributes:
        nodes: of the cluster.
        steady: part of the ideal, in the steady state.
        in_all: part of the ideal, start and end included.
        rate: results a second, in the steady state.
    """

    nodes: int
    steady: float
    in_all: float
    rate: float

    @property
    def slots(self) -> int:
        """Trials at once."""
        return self.nodes * CPUS

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            f"Ray, {self.nodes} node{'s' * (self.nodes > 1)}",
            f"{self.slots}",
            f"{self.steady:.0%}",
            f"{self.in_all:.0%}",
            f"{self.rate:.0f}",
            "",
            "",
        )


def on_ray(number: int, *, epochs: int, epoch_s: float, rounds: int) -> OnRay:
    """Run a search on so many nodes."""
    slots = number * CPUS
    trials = slots * rounds
    document = DOCUMENT.format(name="scale-out", pruner="none", epochs=epochs, trials=trials)
    clock = Clock(trials, slots)
    with (
        nodes(number),
        tempfile.TemporaryDirectory() as folder,
        leased(document, Path(folder), database=None) as job,
    ):
        began = time.perf_counter()
        job.engine(Sleeper, (epochs, epoch_s), clock).run()
        took = time.perf_counter() - began
        assert len(job.study.ended) == trials
    ideal = slots / epoch_s
    return OnRay(number, clock.rate() / ideal, trials * epochs / took / ideal, clock.rate())


@dataclass(frozen=True)
class WithoutRay:
    """A driver alone.

    Attributes:
        database: that it writes to.
        live: trials at once.
        rate: results a second, without what starts take.
        start_s: seconds that it takes to start a trial.
        with_starts: results a second, with the starts that follow.
    """

    database: str
    live: int
    rate: float
    start_s: float
    with_starts: float

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            f"no Ray, {self.database}",
            f"{self.live:,}",
            "",
            "",
            f"{self.rate:.0f}",
            f"{self.start_s * 1000:.0f} ms",
            f"{self.with_starts:.0f}",
        )


def without_ray(name: str, database: str | None, live: int, results: int) -> WithoutRay:
    """Take results in this process."""
    document = DOCUMENT.format(
        name="scale-out", pruner=HALVING, epochs=EPOCHS, trials=live + results
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        leased(document, Path(folder), database=database) as job,
    ):
        executor = Executor(job.engine(Sleeper, None, Watcher()), live, EPOCHS)
        executor.fill()
        filled, filling_s = executor.started, executor.starting_s
        executor.run(results)
    starting_s = executor.starting_s - filling_s
    return WithoutRay(
        name,
        live,
        rate=results / executor.reporting_s,
        start_s=starting_s / max(1, executor.started - filled),
        with_starts=results / (executor.reporting_s + starting_s),
    )


def driver_alone(*, short: bool) -> list[WithoutRay]:
    """Measure a driver without Ray on each database."""
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
    on_clusters = [on_ray(n, epochs=epochs, epoch_s=epoch_s, rounds=rounds) for n in clusters]
    alone = driver_alone(short=short)
    remarks = [
        f"On Ray: {rounds} trials for each slot, of {epochs} epochs of {epoch_s:.0f} s.",
        "Percentages are of the ideal. Results a second on Ray are what the trials give.",
        goal(
            f"steady at 90% of the ideal with {on_clusters[-1].slots} trials",
            reached=on_clusters[-1].steady >= 0.9,
        ),
        goal("500 results a second", reached=all(one.with_starts >= 500 for one in alone)),
    ]
    return Answer(
        ("", "live trials", "steady", "in all", "results a second", "a start", "with starts"),
        [*(one.row() for one in on_clusters), *(one.row() for one in alone)],
        remarks,
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
