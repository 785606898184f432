"""Tells how near training is to the machine.

The arithmetic of a training step, beside the machine's own matrix product of the same type; and a
trial's step beside a bare one, that of a loop written by hand around PyTorch's layers. On one
thread, whose processor time is taken: it is the wall's where nobody else computes, and holds little
of a neighbour's noise where somebody does. They take turns of four steps: a shared processor's
rate may be another from one second to the next, and the first step of a turn finds caches that
another process has filled, which a trial's steps do not. One measurement is the mean of eight
turns, of more where a network is small, and each has networks and data of its own: one that has
seen the same few sequences very often would compute with other numbers.

A trial's step is that of the trainer of a worker: each turn is the training of a short epoch,
without the validation that follows. Its LSTMs are PyTorch's, its GRUs have gradients of their own,
and its process keeps the memory of a step for the next. The bare loop has a process of its own,
with the C library's settings. Neither clips gradients, which a trial does unless its job says
otherwise.

"Learned" is a network that gives the right class all but certainty, as some do after many epochs on
few sequences. A processor takes much longer for gradients so near zero, unless it is told to take
such numbers for zero, as a worker does. Here all are that small, which is the worst case.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.bench import Answer, answer, goal, parser, ratios, spread
from trainables.config import Precision, TrialConfig
from trainables.datasets import Part, SequenceDataset
from trainables.device import DTYPES, configure, has_fast_bfloat16, pick_precision
from trainables.preparation import Preparation
from trainables.products import linear
from trainables.training import Trainer

Cell = Literal["lstm", "gru"]

BATCH, STEPS, FEATURES, CLASSES, SCALE = 64, 28, 28, 10, 255.0
CPU = torch.device("cpu")

GATES = {"lstm": 4, "gru": 3}

SIDE = 1024
"""Of the square matrices, large enough for the full rate."""

PRODUCT = 2 * SIDE**3
"""Operations of their product."""

TURN_STEPS = 4
"""In a row."""

LEAST_TURNS = 8
"""In one measurement."""

SURE = 80.0
"""By how much the right class's output is above the others' of a network that has learned."""


def flops(config: TrialConfig) -> int:
    """Return the floating-point operations of one training step.

    Multiplying [batch, n] by [n, m] is batch·n·m multiplications and as many additions. At each
    step of a sequence, each of a layer's gates multiplies the layer's input and its last output,
    together [batch, inputs + hidden], by [inputs + hidden, hidden]; the head multiplies all steps'
    outputs, [batch, steps·hidden], by [steps·hidden, classes]. Backward there are two products of
    the same size for each of these, one for the gradient of either factor, hence 3 times the
    forward pass. The gradient of the data themselves is counted too, though nobody needs it: 7
    percent of all at hidden size 32, 1 percent at 256. What is done value by value (activations,
    the optimizer) is left out.
    """
    hidden = config.hidden_size
    inputs = FEATURES + (config.layers - 1) * hidden
    recurrent = STEPS * GATES[config.cell] * (inputs + config.layers * hidden) * hidden
    head = STEPS * hidden * CLASSES
    return 3 * 2 * BATCH * (recurrent + head)


def random_data(*sizes: int, labels: int = CLASSES, seed: int = 0) -> SequenceDataset:
    """Return random data of MNIST's form.

    Args:
        sizes: of its three parts.
        labels: how many of the classes occur.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    train, validation, test = (
        Part(
            rng.integers(0, 256, (size, STEPS, FEATURES), dtype=np.uint8),
            rng.integers(0, labels, size),
        )
        for size in sizes
    )
    classes = tuple("0123456789")
    preparation = Preparation.divide(FEATURES, SCALE)
    return SequenceDataset("random", train, validation, test, classes, preparation, fingerprint="")


class Bare:
    """The same training by hand: nothing but PyTorch's layers, the loss and the optimizer."""

    def __init__(
        self, config: TrialConfig, data: SequenceDataset, device: torch.device = CPU
    ) -> None:
        self.device = device
        self.dtype = DTYPES[pick_precision(config, device)]
        self.layers = getattr(nn, config.cell.upper())(
            FEATURES, config.hidden_size, num_layers=config.layers, batch_first=True
        ).to(device)
        self.head = nn.Linear(STEPS * config.hidden_size, CLASSES).to(device)
        self.parameters = [*self.layers.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, config.learning_rate, fused=True)
        x, y = torch.from_numpy(data.train.x) / SCALE, torch.from_numpy(data.train.y)
        x, y = x.to(device), y.to(device)
        self.batches = list(zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True))

    def step_s(self) -> float:
        """Return the seconds of a step, over all batches."""
        began = time.process_time()
        self.epoch()
        return (time.process_time() - began) / len(self.batches)

    def epoch(self) -> None:
        """Learn from all batches."""
        for x, y in self.batches:
            self.step(x, y)

    def step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            outputs, _ = self.layers(x)
            logits = self.head(outputs.flatten(1))
        loss = nn.functional.cross_entropy(logits.float(), y)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


class Apart:
    """The bare training in a process of its own, with torch's and the C library's settings."""

    made: ClassVar[Bare]
    """In that process."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        )

    def make(self, config: TrialConfig, sizes: Sequence[int], *, seed: int, learned: bool) -> None:
        """Have a network made, and its data."""
        self.pool.submit(self.begin, config, sizes, seed=seed, learned=learned).result()

    def step_s(self) -> float:
        """Return the seconds of its step."""
        return self.pool.submit(self.step).result()

    @classmethod
    def begin(cls, config: TrialConfig, sizes: Sequence[int], *, seed: int, learned: bool) -> None:
        """Do, in that process, what `make` asks for."""
        torch.manual_seed(seed)
        cls.made = Bare(config, drawn(sizes, seed=seed, learned=learned))
        if learned:
            make_sure(cls.made.head)

    @classmethod
    def step(cls) -> float:
        """Do, in that process, what `step_s` asks for."""
        return cls.made.step_s()


class Ours:
    """A trial's training, with a worker's settings."""

    def __init__(
        self, config: TrialConfig, data: SequenceDataset, device: torch.device = CPU, seed: int = 0
    ) -> None:
        self.trainer = Trainer(
            config, data, seed=seed, device=device, metric="val_accuracy", direction="maximize"
        )
        self.epoch = self.trainer.train_epoch
        self.steps = len(data.train.y) // BATCH

    def step_s(self) -> float:
        """Return the seconds of a step, over an epoch."""
        began = time.process_time()
        self.epoch()
        return (time.process_time() - began) / self.steps


class Products:
    """The machine's own rate: products of square matrices, as much work as a turn, or one product.

    By the faster of PyTorch's libraries.

    Args:
        work: operations in a turn.
        dtype: of the matrices.
    """

    def __init__(self, work: int, dtype: torch.dtype) -> None:
        self.factor = torch.randn(SIDE, SIDE).to(dtype)
        self.number = max(1, round(work / PRODUCT))

    def product_s(self) -> float:
        """Return the seconds of a product."""
        began = time.process_time()
        for _ in range(self.number):
            linear(self.factor, self.factor)
        return (time.process_time() - began) / self.number


@dataclass(frozen=True)
class Measured:
    """One network, measured several times.

    Attributes:
        name: the cell, and whether it has learned all that there is.
        config: the network.
        product_s: seconds of a product of matrices, one a measurement.
        bare_s: seconds of a bare step.
        ours_s: seconds of a trial's step.
    """

    name: str
    config: TrialConfig
    product_s: Sequence[float]
    bare_s: Sequence[float]
    ours_s: Sequence[float]

    @property
    def possible(self) -> list[float]:
        """GFLOP/s of the product."""
        return rates(PRODUCT, self.product_s)

    @property
    def reached(self) -> list[float]:
        """GFLOP/s of a trial's step."""
        return rates(flops(self.config), self.ours_s)

    @property
    def shares(self) -> list[float]:
        """Its part of the product's rate."""
        return ratios(self.possible, self.reached)

    @property
    def bare_shares(self) -> list[float]:
        """A bare step's part of it."""
        return ratios(self.possible, rates(flops(self.config), self.bare_s))

    @property
    def dearer(self) -> list[float]:
        """A trial's step, in the time of a bare one."""
        return ratios(self.bare_s, self.ours_s)

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            self.name,
            str(self.config.hidden_size),
            self.config.precision,
            spread(self.possible, ".0f"),
            spread(self.reached, ".0f"),
            spread(self.shares),
            spread(self.bare_shares),
            spread(self.dearer, ".3f"),
        )


def drawn(sizes: Sequence[int], *, seed: int, learned: bool) -> SequenceDataset:
    """Return random data, of one class for a network that has learned all that there is."""
    return random_data(*sizes, labels=1 if learned else CLASSES, seed=seed)


def make_sure(head: nn.Linear) -> None:
    """Have a network give the first class all but certainty."""
    head.bias.data[0] += SURE


def measured(  # noqa: PLR0913 - each is an independent part of the measurement
    cell: Cell,
    hidden: int,
    precision: Precision,
    *,
    apart: Apart,
    work: float,
    rounds: int,
    learned: bool,
) -> Measured:
    """Measure one network.

    Args:
        cell: of the network.
        hidden: its hidden size.
        precision: of its products.
        apart: the process of the bare training.
        work: operations in one measurement of a step, so that small networks take more turns.
        rounds: measurements of each.
        learned: whether it has learned all that there is.
    """
    config = TrialConfig(
        cell=cell,
        hidden_size=hidden,
        layers=2,
        batch_size=BATCH,
        precision=precision,
        clip_norm=None,
    )
    step = flops(config)
    # What has learned may take a hundred times as long where nothing takes tiny numbers for zero.
    steps = 1 if learned else TURN_STEPS
    turns = LEAST_TURNS if learned else max(LEAST_TURNS, round(work / (steps * step)))
    config = config.model_copy(update={"epochs": turns + 1})  # one is not counted
    machine = Products(steps * step, DTYPES[precision])
    sizes = steps * BATCH, BATCH, BATCH
    taken = []
    for seed in range(rounds):
        apart.make(config, sizes, seed=seed, learned=learned)
        ours = Ours(config, drawn(sizes, seed=seed, learned=learned), seed=seed)
        if learned:
            make_sure(ours.trainer.model.linear)
        taken.append(in_turn(turns, machine.product_s, apart.step_s, ours.step_s))
    name = f"{cell}, learned" if learned else cell
    return Measured(name, config, *zip(*taken, strict=True))


def in_turn(turns: int, *measure: Callable[[], float]) -> list[float]:
    """Return the mean of each measurement, taken in turn with the others.

    After a turn that does not count, in which memory is taken for the first time.
    """
    taken = [[one() for one in measure] for _ in range(turns + 1)][1:]
    return [statistics.fmean(one) for one in zip(*taken, strict=True)]


def rates(operations: int, seconds: Sequence[float]) -> list[float]:
    """Return GFLOP/s."""
    return [operations / one / 1e9 for one in seconds]


def measure(options: argparse.Namespace) -> Answer:
    """Measure each network, in bfloat16, too, where this processor multiplies it faster."""
    configure(threads=1)
    work, rounds = (10e9, 3) if options.short else (40e9, 15)
    precisions = [
        name for name in get_args(Precision) if name == "float32" or has_fast_bfloat16(CPU)
    ]
    networks = product(get_args(Cell), (32, 96, 256), precisions)
    columns = (
        "cell",
        "hidden",
        "precision",
        "product",
        "a trial's step",
        "share",
        "bare step's share",
        "ours / bare",
    )
    apart = Apart()
    found = [
        measured(*network, apart=apart, work=work, rounds=rounds, learned=learned)
        for learned, network in [
            *((False, network) for network in networks),
            *((True, (cell, 96, "float32")) for cell in get_args(Cell)),
        ]
    ]
    wide = [one for one in found if one.config.cell == "lstm" and one.config.hidden_size == 256]
    remarks = [
        f"Two layers, batch {BATCH}, {STEPS} steps of {FEATURES} features, one thread.",
        "Matrix product and a trial's step in GFLOP/s, ours / bare in the time of a step.",
        goal(
            "a trial's step within 5 percent of the bare one",
            reached=all(statistics.median(one.dearer) <= 1.05 for one in found),
        ),
        goal(
            "a trial's step of LSTMs of 256 units within 25 percent of the matrix product",
            reached=all(statistics.median(one.shares) >= 0.75 for one in wide),
        ),
    ]
    if len(precisions) == 1:
        remarks.append("This processor does not multiply bfloat16 faster than float32.")
    return Answer(columns, [one.row() for one in found], remarks)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
