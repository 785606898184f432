"""Tells what bfloat16 gains on a processor, and whether the accuracy holds.

Networks of two layers are trained on 5,000 MNIST digits as a trial trains them, with the same seeds
in float32 and in bfloat16, in turn and on one thread, whose processor time is taken. What
`precision: auto` chooses on a processor (`trainables.config`) follows from this: bfloat16 where the
processor multiplies it faster than float32 and the network gains by it.
"""

import argparse
import statistics
from itertools import product
from typing import get_args

from benchmarks.bench import Answer, answer, gain, parser, ratios, spread
from benchmarks.curves import FIRST, begin, train
from benchmarks.training_rate import CPU, Cell
from trainables.config import Precision
from trainables.device import has_fast_bfloat16, runs_bfloat16

HIDDEN = (16, 64, 128, 256)


def row(cell: Cell, hidden: int, seeds: int) -> tuple[str, ...]:
    """Train one network in both precisions and return its row."""
    seconds: dict[str, list[float]] = {name: [] for name in get_args(Precision)}
    accuracy: dict[str, list[float]] = {name: [] for name in get_args(Precision)}
    network = {"cell": cell, "hidden_size": hidden, "layers": 2, "learning_rate": 0.005}
    for seed in range(seeds):
        for precision in get_args(Precision)[:: 1 if seed % 2 else -1]:
            curve = train(FIRST, "mnist-5k", seed, {**network, "precision": precision})
            assert curve.best is not None, f"{network} diverged in {precision}"
            # What is done once for all epochs is in the first.
            seconds[precision].append(statistics.fmean(curve.seconds[1:]))
            accuracy[precision].append(100 * curve.best)
    whole, half = (accuracy[name] for name in ("float32", "bfloat16"))
    return (
        cell,
        str(hidden),
        spread(seconds["float32"]),
        spread(seconds["bfloat16"]),
        spread(ratios(seconds["float32"], seconds["bfloat16"])),
        f"{statistics.fmean(whole):.2f}",
        f"{statistics.fmean(half):.2f}",
        gain(whole, half),
    )


def measure(options: argparse.Namespace) -> Answer:
    """Train each network over the seeds."""
    columns = (
        "cell",
        "hidden",
        "float32, s an epoch",
        "bfloat16",
        "of float32's time",
        "float32, accuracy in percent",
        "bfloat16",
        "gain (95 %)",
    )
    if not runs_bfloat16(CPU):
        return Answer(columns, [], ["This processor cannot compute in bfloat16 at all."])
    begin()
    seeds = 2 if options.short else 6
    networks = product(get_args(Cell), HIDDEN)
    rows = [row(cell, hidden, seeds) for cell, hidden in networks]
    verb = "multiplies" if has_fast_bfloat16(CPU) else "does not multiply"
    return Answer(columns, rows, [f"This processor {verb} bfloat16 faster; {seeds} seeds."])


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
