"""Tells how fast a winner becomes a program that PyTorch alone can load.

Networks of two layers of 64 units are made a program of `torch.export`, as it does that and with
the shapes of recurrent layers told (`trainables.tracing`), in turn. A job does so twice at its end:
for its own files, and for MLflow. Processor time is taken, on one thread.
"""

import argparse
import time
import warnings
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.export import Dim

from benchmarks.bench import Answer, answer, parser, ratios, spread
from trainables.cells import CELLS
from trainables.tracing import known_shapes

STEPS = (28, 100, 300)
"""The last not in short form, where it takes a minute."""

FEATURES = 28


def seconds(cell: str, steps: int, context: AbstractContextManager[None]) -> float:
    """Return the processor time of one export, in seconds."""
    network = CELLS[cell](FEATURES, 64, num_layers=2, batch_first=True).eval()
    x = torch.randn(4, steps, FEATURES)
    began = time.process_time()
    with context:
        torch.export.export(network, (x,), dynamic_shapes=({0: Dim("batch")},))
    return time.process_time() - began


def measure(options: argparse.Namespace) -> Answer:
    """Export each network both ways."""
    warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights")
    torch.set_num_threads(1)
    seconds("lstm", 2, nullcontext())  # which imports what others need, too
    rows = []
    for cell in CELLS:
        for steps in STEPS[:2] if options.short else STEPS:
            plain, told = [], []
            for _ in range(1 if options.short else 3):
                plain.append(seconds(cell, steps, nullcontext()))
                told.append(seconds(cell, steps, known_shapes()))
            times = spread(ratios(told, plain), ".0f")
            rows.append((cell, str(steps), spread(plain), spread(told), times))
    return Answer(("cell", "steps", "torch.export, s", "shapes told, s", "times faster"), rows)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
