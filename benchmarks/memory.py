"""Tells how much memory a worker takes, and whether the data is held once a node.

Two workers train at once, an LSTM and a GRU of hidden size 256 and two layers, on 70,000 sequences
of MNIST's form: ours, with the data in Ray's object store as the engine puts it there; and function
trainables that get tensors through `tune.with_parameters` and read them with a DataLoader, as bytes
and, as is usual, as float32. Beside them workers that have imported torch and do nothing.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray._private import internal_api
from ray.train._internal.storage import StorageContext
from ray.tune.trainable import wrap_function
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.training_rate import random_data
from search.driver.cluster import cluster
from trainables.cells import CELLS, RecurrentNetwork
from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset, Shape
from trainables.trial import RecurrentTrial, Shared

LIMIT_MB = 1000
"""What a worker has to stay under."""


@dataclass(frozen=True)
class Memory:
    """What a process has in memory, in MB.

    Attributes:
        peak: the most that it ever had.
        resident: all that it has.
        divided: the same, where what several processes map is shared out among them.
        private: what no other process maps.
        shared: what others map too, such as libraries and the object store.
    """

    peak: float
    resident: float
    divided: float
    private: float
    shared: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Read what the kernel says of a process."""
        mb = {}
        for file in ("status", "smaps_rollup"):
            for line in Path("/proc", str(pid), file).read_text(encoding="ascii").splitlines():
                if line.endswith(" kB"):
                    name, kib, _ = line.split()
                    mb[name.rstrip(":")] = int(kib) * 1024 / 1e6
        return cls(
            mb["VmHWM"],
            mb["Rss"],
            mb["Pss"],
            mb["Private_Clean"] + mb["Private_Dirty"],
            mb["Shared_Clean"] + mb["Shared_Dirty"],
        )


@dataclass(frozen=True)
class Found:
    """What one kind of worker took: memory by cell, and the MB in the node's object store."""

    workers: dict[str, Memory]
    store: float

    def rows(self, name: str, data_mb: float) -> list[tuple[str, ...]]:
        """Return the table's rows, for data of a size."""
        store = f"{self.store:.0f} ({self.store / data_mb:.2f})"
        return [
            (name, cell, *(f"{mb:.0f}" for mb in astuple(memory)), store)
            for cell, memory in self.workers.items()
        ]


class Idle(tune.Trainable):
    """A worker that does nothing, on what this file imports."""

    def setup(self, config: dict[str, Any], data: SequenceDataset) -> None:  # type: ignore[override]
        """Use torch once."""
        torch.ones(1)

    def step(self) -> dict[str, Any]:
        """Do nothing."""
        return {}


def usual(config: dict[str, Any], data: dict[str, Tensor], scale: float) -> None:
    """Train the same network for an epoch as a function trainable usually does."""
    settings = TrialConfig(**config["parameters"])
    model = RecurrentNetwork(settings, Shape(steps=28, inputs=28, outputs=10))
    optimizer = torch.optim.Adam(model.parameters(), settings.learning_rate)
    rows = TensorDataset(data["train_x"], data["train_y"])
    for x, y in DataLoader(rows, batch_size=settings.batch_size, shuffle=True):
        loss = torch.nn.functional.cross_entropy(model(x.float() / scale), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    tune.report({"loss": loss.item()})


def function_trainable(data: dict[str, Tensor], scale: float) -> Any:
    """Return `usual` as Tune makes a class of it, with its data put into the object store."""
    return wrap_function(tune.with_parameters(usual, data=data, scale=scale))


def as_tensors(data: SequenceDataset) -> dict[str, Tensor]:
    """Return the data as tensors of bytes."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        f"{name}_{axis}": torch.from_numpy(getattr(part, axis))
        for name, part in parts.items()
        for axis in ("x", "y")
    }


def size_mb(tensors: dict[str, Tensor]) -> float:
    """Return how large tensors are."""
    return sum(tensor.nbytes for tensor in tensors.values()) / 1e6


def configuration(cell: str, folder: str) -> dict[str, Any]:
    """Return what the engine hands to a worker."""
    return {
        "number": 0,
        "parameters": {"cell": cell, "hidden_size": 256, "precision": "float32", "epochs": 1},
        "seed": 0,
        "acknowledged": 0,
        "checkpoints": f"{folder}/{cell}",
        "metric": "val_accuracy",
        "direction": "maximize",
        "target": None,
        "cpus": 1,
        "gpus": 0,
        "epoch_limit_s": 3600,
        "costs": False,
    }


def run(trainable: Callable[[], Any], seconds: float) -> Found:
    """Let two workers train for an epoch, or until each has computed for some seconds, and look.

    Args:
        trainable: returns the class that Tune makes workers of; called when Ray runs.
        seconds: of processor time, so that a busy machine lets them come as far.
    """
    with cluster(None, cpus=len(CELLS)), tempfile.TemporaryDirectory() as folder:
        made = ray.remote(num_cpus=1)(trainable())
        actors = [
            made.remote(
                config=configuration(cell, folder),
                storage=StorageContext(folder, "memory", trial_dir_name=cell),
            )
            for cell in CELLS
        ]
        pids = ray.get([actor.__ray_call__.remote(lambda _: os.getpid()) for actor in actors])
        running = [actor.train.remote() for actor in actors]
        while running and min(map(computed_s, pids)) < seconds:
            ended, running = ray.wait(running, timeout=1)
            ray.get(ended)
        return Found(dict(zip(CELLS, map(Memory.of, pids), strict=True)), stored_mb())


def computed_s(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    user, system = after_name.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def stored_mb() -> float:
    """Return what the node's object store holds."""
    state = internal_api.get_state_from_address(ray.get_runtime_context().gcs_address)
    stats = internal_api.get_memory_info_reply(state).store_stats
    return float(stats.object_store_bytes_used) / 1e6


def measure(options: argparse.Namespace) -> Answer:
    """Look at one kind of worker after the other, each on a Ray of its own."""
    seconds = 15.0 if options.short else math.inf
    data = random_data(54_000, 6_000, 10_000)
    small = as_tensors(data)
    large = {name: one / 255 if name.endswith("x") else one for name, one in small.items()}
    idle = run(lambda: tune.with_parameters(Idle, data=data), seconds)
    ours = run(lambda: tune.with_parameters(RecurrentTrial, data=Shared(data)), seconds)
    as_bytes = run(lambda: function_trainable(small, 255.0), seconds)
    as_floats = run(lambda: function_trainable(large, 1.0), seconds)
    most = max(memory.peak for memory in ours.workers.values())
    return Answer(
        ("MB", "cell", *(field.name for field in fields(Memory)), "store (copies)"),
        [
            *idle.rows("idle", size_mb(small)),
            *ours.rows("Gatetune", size_mb(small)),
            *as_bytes.rows("bytes", size_mb(small)),
            *as_floats.rows("float32", size_mb(large)),
        ],
        [
            f"The data: {size_mb(small):.0f} MB as bytes, {size_mb(large):.0f} MB as float32.",
            f"A worker of ours had {most:.0f} MB at the most.",
            goal(f"under {LIMIT_MB} MB", reached=most < LIMIT_MB),
        ],
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
