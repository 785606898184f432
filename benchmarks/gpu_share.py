"""Tells what trials gain by sharing a GPU.

So many processes at once train the same network as trials do, epoch after epoch, each with its
validation, and take turns on the GPU; how many epochs all of them finish is what a search has of
it. Beside them as many as the machine has processors, without the GPU. What a process has of the
GPU's memory contains its part of the benchmark's own half GB.
"""

import argparse
import os
import sys

import torch

from benchmarks.bench import Answer, answer, parser
from benchmarks.beside import SEQUENCES, epochs_a_second, started
from trainables.config import TrialConfig

NETWORKS = (
    TrialConfig(cell="lstm", hidden_size=32),
    TrialConfig(cell="lstm", hidden_size=128),
    TrialConfig(cell="gru", hidden_size=256),
)


def measure(options: argparse.Namespace) -> Answer:
    """Measure each number of processes."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU here")
    torch.cuda.init()  # type: ignore[no-untyped-call]
    seconds = 4.0 if options.short else 15.0
    rows: list[tuple[str, ...]] = []
    for network in NETWORKS:
        name, alone = f"{network.cell} {network.hidden_size}", 0.0
        for count in (1, 2, 4, 8, 16):
            processes = started(count, network, gpus=1 / count)
            free, total = torch.cuda.mem_get_info()
            each = f"{(total - free) / 1e6 / count:.0f}"
            rate = epochs_a_second(processes, seconds)
            alone = alone or rate
            rows.append((name, f"{count} on the GPU", f"{rate:.1f}", f"{rate / alone:.2f}", each))
        threads = os.cpu_count() or 1
        rate = epochs_a_second(started(threads, network), seconds)
        rows.append((name, f"{threads} threads", f"{rate:.1f}", f"{rate / alone:.2f}", "–"))
    columns = ("network", "trials at once", "epochs a second", "times one's", "MB each")
    remarks = [
        f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}. Two layers.",
        f"{SEQUENCES[0]:,} sequences are learned in batches of 64, {SEQUENCES[1]:,} measured.",
    ]
    return Answer(columns, rows, remarks)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
