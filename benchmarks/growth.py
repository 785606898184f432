"""Tells how the cost of a trial grows with the number of trials, and the driver with it.

One search of trials that train nothing, with everything on, on SQLite and on PostgreSQL: what the
last tenth of the trials cost, beside what the first tenth did, and the memory of the process, which
is the driver, and another one for each.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.driven import Watcher, search
from search.common.trial import LiveTrial, Verdict
from search.driver.cluster import cluster
from tests.servers import Postgres

PARTS = 10


class Clock(Watcher):
    """Notes time and memory of this process as each tenth of the trials has ended."""

    def __init__(self, trials: int) -> None:
        self.part = trials // PARTS
        self.ended = 0
        self.times = [time.perf_counter()]
        self.memory = [resident_mb()]

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """Count; every trial has one epoch."""
        self.ended += 1
        if self.ended == 1:  # the workers have started
            self.times, self.memory = [time.perf_counter()], [resident_mb()]
        elif self.ended % self.part == 0:
            self.times.append(time.perf_counter())
            self.memory.append(resident_mb())


def resident_mb() -> float:
    """Return the memory that this process has, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Measured:
    """A search on one database.

    Attributes:
        name: of the database.
        first_s: seconds of each of the first tenth of the trials.
        last_s: of each of the last tenth.
        memory_mb: of the driver at the end.
        grown_mb: of the driver, for 1,000 trials.
    """

    name: str
    first_s: float
    last_s: float
    memory_mb: float
    grown_mb: float

    @property
    def dearer(self) -> float:
        """The last trials, in the time of the first."""
        return self.last_s / self.first_s

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            self.name,
            f"{self.first_s * 1000:.0f} ms",
            f"{self.last_s * 1000:.0f} ms",
            f"{self.dearer:.2f}",
            f"{self.memory_mb:.0f} MB",
            f"{self.grown_mb:.1f} MB",
        )


def alone(name: str, trials: int, database: str | None = None) -> Measured:
    """Measure on one database, in a process in which no memory was used and freed before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, name, trials, database).result()


def measured(name: str, trials: int, database: str | None) -> Measured:
    """Measure on one database."""
    clock = Clock(trials)
    with cluster(None), tempfile.TemporaryDirectory() as folder:
        search(trials, Path(folder), clock, database=database)
    costs = [(b - a) / clock.part for a, b in zip(clock.times, clock.times[1:], strict=False)]
    # The first tenth fills caches that stay; from then on it is growth.
    grown = (clock.memory[-1] - clock.memory[1]) / (trials - clock.part) * 1000
    return Measured(name, costs[0], costs[-1], clock.memory[-1], grown)


def measure(options: argparse.Namespace) -> Answer:
    """Measure on both databases."""
    trials = 1000 if options.short else 10_000
    found = [alone("SQLite", trials)]
    server = Postgres(durable=True)
    server.start()
    try:
        found.append(alone("PostgreSQL", trials, server.url))
    finally:
        server.remove()
    part = trials // PARTS
    return Answer(
        (
            f"{trials:,} trials",
            f"first {part:,}, each",
            f"last {part:,}, each",
            "ratio",
            "driver at the end",
            "growth for 1,000 trials",
        ),
        [one.row() for one in found],
        [
            goal("at most twice as dear", reached=all(one.dearer <= 2 for one in found)),
            goal(
                "at most 20 MB more for 1,000 trials",
                reached=all(one.grown_mb <= 20 for one in found),
            ),
        ],
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
