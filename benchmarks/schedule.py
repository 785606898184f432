"""Tells what one-cycle learning rates gain.

Networks of two layers are trained as a trial trains them, with the same seeds at a constant rate
and over one cycle that rises to it, at each of several rates. The accuracy is that of the best of
their epochs, which are as many for both; a training that diverges counts as 0. In the end each has
the rate that does best for it, on average over the seeds: what is good for the one need not be for
the other. Data, epochs and batches are those of `curves`.
"""

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import get_args

from benchmarks.bench import Answer, answer, gain, over_processors, parser
from benchmarks.curves import DOCUMENTS, FIRST, begin, train
from benchmarks.training_rate import Cell
from trainables.config import Parameters

SCHEDULES = ("constant", "one-cycle")
RATES = (0.001, 0.003, 0.01, 0.03)
HIDDEN = 128

Trained = tuple[str, Cell, str, float]
"""A data set and a cell, a schedule and its rate."""

Accuracies = list[float]
"""In percent, one a seed; 0 where a training diverged."""

Rated = Sequence[Accuracies]
"""Of each rate."""


def accuracy(trained: Trained, seed: int) -> float:
    """Train one network and return the accuracy of its best epoch, in percent."""
    source, cell, schedule, rate = trained
    network: Parameters = {"cell": cell, "hidden_size": HIDDEN, "layers": 2}
    training: Parameters = {"schedule": schedule, "learning_rate": rate}
    return 100 * (train(FIRST, source, seed, network | training).best or 0.0)


def everything(seeds: int) -> dict[Trained, Accuracies]:
    """Train all networks, over all processors."""
    every: list[Trained] = [*product(DOCUMENTS, get_args(Cell), SCHEDULES, RATES)]
    work = {
        (trained, seed): partial(accuracy, trained, seed)
        for trained, seed in product(every, range(seeds))
    }
    reached = dict(over_processors("training", work, begin))
    return {trained: [reached[trained, seed] for seed in range(seeds)] for trained in every}


def row(source: str, cell: Cell, constant: Rated, one_cycle: Rated) -> tuple[str, ...]:
    """Return the table's row, of what either schedule reached at each rate."""
    at_each = [
        f"{statistics.fmean(one):.2f}, {statistics.fmean(other):.2f}"
        for one, other in zip(constant, one_cycle, strict=True)
    ]
    bests = (max(rated, key=statistics.fmean) for rated in (constant, one_cycle))
    return (source, cell, *at_each, gain(*bests))


def measure(options: argparse.Namespace) -> Answer:
    """Train each network over the seeds."""
    seeds = 2 if options.short else 6
    found = everything(seeds)
    rows = [
        row(
            source, cell, *([found[source, cell, how, rate] for rate in RATES] for how in SCHEDULES)
        )
        for source, cell in product(DOCUMENTS, get_args(Cell))
    ]
    columns = ("data", "cell", *(f"at {rate}" for rate in RATES), "gain at the best (95 %)")
    remark = (
        "At each rate the accuracy with a constant one and with one cycle, in percent; "
        f"{HIDDEN} units, {seeds} seeds."
    )
    return Answer(columns, rows, [remark])


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
