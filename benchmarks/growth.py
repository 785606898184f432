"""Tells how the cost of a trial grows with the number of trials, and the driver with it.

One search of trials that train nothing, with everything on, on SQLite and on PostgreSQL: what the
last tenth of the trials cost, beside what the first tenth did, and the memory of this process,
which is the driver.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.driven import Watcher, search
from search.cluster import cluster
from search.trial import LiveTrial, Verdict
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


def row(name: str, trials: int, database: str | None) -> tuple[str, ...]:
    """Measure on one database and return the table's row."""
    clock = Clock(trials)
    with cluster(None), tempfile.TemporaryDirectory() as folder:
        search(trials, Path(folder), clock, database=database)
    costs = [(b - a) / clock.part for a, b in zip(clock.times, clock.times[1:], strict=False)]
    # The first tenth fills caches that stay; from then on it is growth.
    grown = (clock.memory[-1] - clock.memory[1]) / (trials - clock.part) * 1000
    return (
        name,
        f"{costs[0] * 1000:.0f} ms",
        f"{costs[-1] * 1000:.0f} ms",
        f"{costs[-1] / costs[0]:.2f}",
        f"{clock.memory[-1]:.0f} MB",
        f"{grown:.1f} MB",
    )


def measure(options: argparse.Namespace) -> Answer:
    """Measure on both databases."""
    trials = 1000 if options.short else 10_000
    rows = [row("SQLite", trials, None)]
    server = Postgres(durable=True)
    server.start()
    try:
        rows.append(row("PostgreSQL", trials, server.url))
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
        rows,
        [
            goal("at most twice as dear", reached=all(float(one[3]) <= 2 for one in rows)),
            goal(
                "at most 20 MB more for 1,000 trials",
                reached=all(float(one[5].split()[0]) <= 20 for one in rows),
            ),
        ],
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
