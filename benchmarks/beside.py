"""Trains several networks beside each other, each in a process of its own, as trials are."""

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.training_rate import random_data
from trainables.config import TrialConfig
from trainables.device import configure, pick_device
from trainables.training import Trainer

SEQUENCES = (4000, 1000, 64)
"""In the three parts, as of 5,000 MNIST digits."""

ENDLESS = 100_000
"""Epochs that no measurement comes to."""


def started(
    count: int, config: TrialConfig, *, threads: int = 1, gpus: float = 0.0
) -> list["subprocess.Popen[str]"]:
    """Return the processes of so many trials, each of which has trained an epoch and waits.

    Args:
        count: of trials at once.
        config: what each trains.
        threads: of each.
        gpus: what each has of one.
    """
    command = [sys.executable, "-m", "benchmarks.beside", config.model_dump_json()]
    processes = [
        subprocess.Popen(
            [*command, str(threads), str(gpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for one in processes:
        assert one.stdout is not None
        one.stdout.readline()
    return processes


def epochs_a_second(processes: Sequence["subprocess.Popen[str]"], seconds: float) -> float:
    """Return how many epochs a second they finish in all, and end them."""
    for one in processes:
        assert one.stdin is not None
        one.stdin.write(f"{seconds}\n")
        one.stdin.flush()
    return sum(float(one.communicate()[0]) for one in processes)


def main() -> None:
    """Train as one of the processes, for as long as standard input says."""
    config, threads, gpus = sys.argv[1:]
    configure(threads=int(threads))
    trainer = Trainer(
        TrialConfig.model_validate_json(config).model_copy(update={"epochs": ENDLESS}),
        random_data(*SEQUENCES),
        seed=0,
        device=pick_device(float(gpus)),
        metric="val_accuracy",
        direction="maximize",
    )
    trainer.run_epoch()
    print(flush=True)
    seconds = float(sys.stdin.readline())
    began, epochs = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        trainer.run_epoch()
        epochs += 1
    print(epochs / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
