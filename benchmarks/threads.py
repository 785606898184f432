"""Tells whether processors are better shared out among trials, or given to one.

As many trials as there are processors train at once, with one thread each, as `workers.concurrent:
auto` has it where `workers.cpus` is left at one; and one trial with as many threads. How many
epochs they finish, each with its validation, is what a search has of the machine. The two are
measured in turn.
"""

import argparse
import os

from benchmarks.bench import Answer, answer, parser, ratios, spread
from benchmarks.beside import SEQUENCES, epochs_a_second, started
from trainables.config import TrialConfig


def measure(options: argparse.Namespace) -> Answer:
    """Measure both, network by network."""
    rounds, seconds = (2, 3.0) if options.short else (5, 10.0)
    processors = os.cpu_count() or 1
    rows = []
    for cell in ("lstm", "gru"):
        for hidden in (32, 128, 256):
            network = TrialConfig(cell=cell, hidden_size=hidden)
            one, many = [], []
            for _ in range(rounds):
                one.append(epochs_a_second(started(1, network, threads=processors), seconds))
                many.append(epochs_a_second(started(processors, network), seconds))
            times = spread(ratios(one, many))
            rows.append((f"{cell} {hidden}", spread(one), spread(many), times))
    columns = (
        "network",
        f"one trial of {processors} threads, epochs a second",
        f"{processors} trials of one",
        "times as many",
    )
    remark = (
        "Two layers, in the precision that `auto` chooses. "
        f"{SEQUENCES[0]:,} sequences are learned in batches of 64, {SEQUENCES[1]:,} measured."
    )
    return Answer(columns, rows, [remark])


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
