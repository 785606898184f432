"""Tells what label smoothing gains, and what it costs.

Networks of two layers are trained as a trial trains them, with the same seeds without it and with
as much as `jobs/mnist-5k.yaml` has. The accuracy is that of the best epoch, the loss the plain
cross entropy of the validation part after the last one: a network that was taught to be less sure
of itself has more of it, even where it is right more often. That is why a job has it only where its
document says so. Data, epochs and batches are those of `curves`.
"""

import argparse
import statistics
from collections.abc import Sequence
from itertools import product
from typing import get_args

from benchmarks.bench import Answer, answer, gain, parser
from benchmarks.curves import DOCUMENTS, FIRST, Curve, begin, train
from benchmarks.training_rate import Cell

HIDDEN = (64, 128)
SMOOTHING = 0.1


def row(source: str, cell: Cell, hidden: int, seeds: int) -> tuple[str, ...]:
    """Train one network both ways and return its row."""
    network = {"cell": cell, "hidden_size": hidden, "layers": 2, "learning_rate": 0.01}
    without, smoothed = (
        [train(FIRST, source, seed, {**network, "label_smoothing": so}) for seed in range(seeds)]
        for so in (0.0, SMOOTHING)
    )
    before, after = accuracy(without), accuracy(smoothed)
    return (
        source,
        cell,
        str(hidden),
        f"{statistics.fmean(before):.2f}",
        f"{statistics.fmean(after):.2f}",
        gain(before, after),
        f"{loss(without):.3f}",
        f"{loss(smoothed):.3f}",
    )


def accuracy(curves: Sequence[Curve]) -> list[float]:
    """Return the best accuracy of each training, in percent."""
    bests = [curve.best for curve in curves]
    assert None not in bests, "a network diverged"
    return [100 * best for best in bests if best is not None]


def loss(curves: Sequence[Curve]) -> float:
    """Return the mean loss of the last epoch."""
    return statistics.fmean(curve.val_loss[-1] for curve in curves)


def measure(options: argparse.Namespace) -> Answer:
    """Train each network over the seeds."""
    begin()
    seeds = 2 if options.short else 6
    networks = product(DOCUMENTS, get_args(Cell), HIDDEN)
    columns = (
        "data",
        "cell",
        "hidden",
        "accuracy without, percent",
        f"smoothed by {SMOOTHING}",
        "gain (95 %)",
        "loss without",
        "smoothed",
    )
    return Answer(columns, [row(*network, seeds) for network in networks], [f"{seeds} seeds."])


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
