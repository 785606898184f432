"""Tells how much memory a worker should keep for its next step.

LSTMs of two layers learn from random sequences on one thread, in batches of 64, each setting in a
process of its own and in turn: with glibc as it is; with blocks kept up to 32 MiB, which is what
glibc itself comes to at the most, and up to 128 MiB, as a worker does where lengths are unequal;
with all of them kept, as it does where all have one length (`keep_memory`); and with jemalloc, as
Ray brings it, which is told to keep everything. The pages are those that the kernel clears during a
step, 4 KiB each where they are not huge. The memory is the most that the process ever had,
libraries included.
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import ray
import torch
from torch import nn

from benchmarks.bench import Answer, answer, parser, ratios, spread
from trainables import device

BATCH, FEATURES, CLASSES = 64, 8, 5
WARM_STEPS = 5
"""That do not count."""

Case = tuple[str, int, tuple[int, int]]
CASES: Sequence[Case] = (
    ("28 steps", 96, (28, 28)),
    ("28 steps", 256, (28, 28)),
    ("150 steps", 128, (150, 150)),
    ("500 steps", 128, (500, 500)),
    ("20 to 100 steps", 128, (20, 100)),
    ("200 to 1,000 steps", 128, (200, 1000)),
)
"""What is learned: its name, units, and from where to where the lengths of batches lie."""

JEMALLOC = {
    "LD_PRELOAD": str(Path(ray.__file__).parent / "core" / "libjemalloc.so"),
    "MALLOC_CONF": "dirty_decay_ms:-1",
}


def nothing() -> None:
    """Leave the C library as it is."""


def keep(mib: int) -> None:
    """Keep blocks up to a size."""
    with patch.object(device, "LARGEST_BYTES", mib << 20):
        device.keep_memory(varies=True)


SETTINGS: dict[str, tuple[Callable[[], None], dict[str, str]]] = {
    "glibc": (nothing, {}),
    "up to 32 MiB": (partial(keep, 32), {}),
    "up to 128 MiB": (partial(device.keep_memory, varies=True), {}),
    "all": (partial(device.keep_memory, varies=False), {}),
    "jemalloc": (nothing, JEMALLOC),
}
"""How memory is kept: names, and what a process does first, with which variables."""


def learned(begin: Callable[[], None], case: Case, steps: int) -> tuple[float, float, float]:
    """Return a step's seconds and pages, and the MB that the process had at the most."""
    begin()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    _, units, (shortest, longest) = case
    lengths = np.random.default_rng(0)
    layers, head = nn.LSTM(FEATURES, units, 2, batch_first=True), nn.Linear(units, CLASSES)
    optimizer = torch.optim.Adam([*layers.parameters(), *head.parameters()], fused=True)

    def step() -> None:
        x = torch.randn(BATCH, int(lengths.integers(shortest, longest + 1)), FEATURES)
        loss = head(layers(x)[0][:, -1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(WARM_STEPS):
        step()
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = (time.process_time() - began) / steps
    return seconds, (used.ru_minflt - before) / steps, used.ru_maxrss * 1024 / 1e6


def apart(setting: str, case: Case, steps: int) -> tuple[float, float, float]:
    """Return what `learned` does, in a process of its own."""
    begin, variables = SETTINGS[setting]
    with patch.dict(os.environ, variables), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(learned, begin, case, steps).result()


def measure(options: argparse.Namespace) -> Answer:
    """Measure every setting on every case."""
    steps, rounds = (20, 2) if options.short else (40, 5)
    rows = []
    for case in CASES:
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SETTINGS}
        for _ in range(rounds):
            for name, taken in found.items():
                taken.append(apart(name, case, steps))
        usual = [seconds for seconds, _, _ in found["glibc"]]
        name, units, _ = case
        for setting, taken in found.items():
            seconds, pages, peaks = (list(one) for one in zip(*taken, strict=True))
            rows.append(
                (
                    f"{name}, {units} units",
                    setting,
                    spread([1e3 * one for one in seconds], ".1f"),
                    spread(ratios(usual, seconds)),
                    f"{statistics.median(pages):,.0f}",
                    f"{statistics.median(peaks):,.0f}",
                )
            )
    columns = ("sequences", "kept", "ms a step", "of glibc's time", "pages a step", "MB")
    return Answer(columns, rows)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
