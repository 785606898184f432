"""Tells what trials gain by sharing a GPU.

So many processes at once train the same network as trials do, epoch after epoch, each with its
validation, and take turns on the GPU; how many epochs all of them finish is what a search has of
it. Beside them as many as the machine has processors, without the GPU. What a process has of the
GPU's memory contains its part of the benchmark's own half GB.
"""

import argparse
import os
import subprocess
import sys
import time

import torch

from benchmarks.bench import Answer, answer, parser
from benchmarks.training_rate import random_data
from trainables.config import TrialConfig
from trainables.device import configure, pick_device
from trainables.training import Trainer

SEQUENCES = (4000, 1000, 64)
"""In the three parts, as of 5,000 MNIST digits."""

NETWORKS = (
    TrialConfig(cell="lstm", hidden_size=32, epochs=100_000),
    TrialConfig(cell="lstm", hidden_size=128, epochs=100_000),
    TrialConfig(cell="gru", hidden_size=256, epochs=100_000),
)


def train(network: str, gpus: str, seconds: str) -> None:
    """Train as one of the processes, from the moment that standard input ends."""
    configure(threads=1)
    trainer = Trainer(
        NETWORKS[int(network)],
        random_data(*SEQUENCES),
        seed=0,
        device=pick_device(float(gpus)),
        metric="val_accuracy",
        direction="maximize",
    )
    trainer.run_epoch()
    print(flush=True)
    sys.stdin.read()
    began, epochs = time.perf_counter(), 0
    while time.perf_counter() - began < float(seconds):
        trainer.run_epoch()
        epochs += 1
    print(epochs / (time.perf_counter() - began), flush=True)


def together(count: int, network: int, *, gpus: float, seconds: float) -> tuple[float, float]:
    """Return the epochs a second of so many processes in all, and the MB that each has of a GPU."""
    command = [sys.executable, "-m", "benchmarks.gpu_share", "--train", str(network)]
    processes = [
        subprocess.Popen(
            [*command, str(gpus), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for one in processes:
        assert one.stdout is not None
        one.stdout.readline()
    free, total = torch.cuda.mem_get_info()
    for one in processes:
        assert one.stdin is not None
        one.stdin.close()
    rates = [float(one.stdout.readline()) for one in processes if one.stdout is not None]
    for one in processes:
        one.wait()
    return sum(rates), (total - free) / 1e6 / count


def measure(options: argparse.Namespace) -> Answer:
    """Measure each number of processes."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU here")
    torch.cuda.init()  # type: ignore[no-untyped-call]
    seconds = 4.0 if options.short else 15.0
    rows = []
    for place, network in enumerate(NETWORKS):
        alone = 0.0
        for count in (1, 2, 4, 8, 16):
            rate, used_mb = together(count, place, gpus=1 / count, seconds=seconds)
            alone = alone or rate
            rows.append(
                (
                    f"{network.cell} {network.hidden_size}",
                    f"{count} on the GPU",
                    f"{rate:.1f}",
                    f"{rate / alone:.2f}",
                    f"{used_mb:.0f}",
                )
            )
        threads = os.cpu_count() or 1
        rate, _ = together(threads, place, gpus=0.0, seconds=seconds)
        rows.append((rows[-1][0], f"{threads} threads", f"{rate:.1f}", f"{rate / alone:.2f}", "–"))
    columns = ("network", "trials at once", "epochs a second", "times one's", "MB each")
    remarks = [
        f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}. Two layers.",
        f"{SEQUENCES[0]:,} sequences are learned in batches of 64, {SEQUENCES[1]:,} measured.",
    ]
    return Answer(columns, rows, remarks)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.train:
        train(*given.train)
    else:
        answer(given, measure)
