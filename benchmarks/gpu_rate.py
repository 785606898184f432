"""Tells how fast a GPU trains, beside a loop written by hand.

A trial's step, that of the trainer of a worker, in turn with a bare one: PyTorch's layers, the loss
and the optimizer, on data that lie on the GPU already. Each measurement is an epoch without the
validation that follows, and ends when the GPU is done.

The accuracy is that of validation, over seeds, of networks that learned 5,000 MNIST digits for ten
epochs; the seeds are the same in both precisions.

In bfloat16 the bare loop is in `torch.autocast`, which computes recurrent layers on a GPU in
float16 even so; a trial's are in bfloat16.
"""

import argparse
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import get_args

import torch

from benchmarks.bench import Answer, answer, parser, ratios, spread
from benchmarks.curves import trainer
from benchmarks.training_rate import BATCH, Bare, Cell, Ours, random_data
from trainables.config import Precision, TrialConfig
from trainables.device import configure
from trainables.training import fit

GPU = torch.device("cuda:0")

STEPS = 64
"""In one measurement."""


def wall_s(epoch: Callable[[], object]) -> float:
    """Return the seconds of a step of an epoch."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    epoch()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / STEPS


def row(cell: Cell, hidden: int, precision: Precision, rounds: int) -> tuple[str, ...]:
    """Measure one network and return its row."""
    config = TrialConfig(
        cell=cell, hidden_size=hidden, batch_size=BATCH, precision=precision, epochs=rounds + 1
    )
    data = random_data(STEPS * BATCH, BATCH, BATCH)
    unclipped = config.model_copy(update={"clip_norm": None})
    bare, ours = Bare(unclipped, data, GPU), Ours(unclipped, data, GPU)
    bares, trials = [], []
    for _ in range(rounds + 1):
        torch.set_deterministic_debug_mode("default")
        bares.append(wall_s(bare.epoch))
        configure(threads=1)
        trials.append(wall_s(ours.epoch))
    bares, trials = bares[1:], trials[1:]
    return (
        cell,
        str(hidden),
        precision,
        spread([1e3 * one for one in bares]),
        spread([1e3 * one for one in trials]),
        spread(ratios(trials, bares), ".1f"),
        spread([learned(config, seed) for seed in range(rounds)]),
    )


def learned(config: TrialConfig, seed: int) -> float:
    """Return the best accuracy of a network that learned digits, in percent."""
    longer = config.model_copy(update={"epochs": 10, "learning_rate": 0.005})
    epochs = fit(trainer("mnist-5k", longer, seed, str(GPU)))
    return 100 * max(one["val_accuracy"] for one in epochs)


def measure(options: argparse.Namespace) -> Answer:
    """Measure each network in both precisions."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU here")
    configure(threads=1)
    rounds = 3 if options.short else 7
    hidden = (32, 128, 192, 256) if options.short else (32, 64, 128, 192, 256, 512)
    columns = (
        "cell",
        "hidden",
        "precision",
        "bare step, ms",
        "a trial's, ms",
        "times faster",
        "accuracy, percent",
    )
    rows = [row(*one, rounds) for one in product(get_args(Cell), hidden, get_args(Precision))]
    remarks = [
        f"{torch.cuda.get_device_name(GPU)}, PyTorch {torch.__version__}.",
        f"Two layers, batch {BATCH}, 28 steps.",
    ]
    return Answer(columns, rows, remarks)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
