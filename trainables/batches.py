"""A part of a data set where the network is, and measuring a network on it."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.config import SHAPES, measured_at_once
from trainables.datasets import Part
from trainables.goals import Goal
from trainables.preparation import Preparation

POOL = 64
"""Batches whose sequences are put together by length, where lengths are unequal."""


class Rows(NamedTuple):
    """Which sequences make a batch.

    Attributes:
        at: [sequences] int64, their places in the part, on its device.
        steps: how long the batch is.
    """

    at: Tensor
    steps: int


class Batch(NamedTuple):
    """Some sequences as the network sees them.

    Attributes:
        x: [sequences, steps, inputs] float32.
        lengths: [sequences] int64; None where all are of one length.
        y: labels, as the part has them.
    """

    x: Tensor
    lengths: Tensor | None
    y: Tensor


class Prepare(nn.Module):
    """A `Preparation` as a part of networks.

    Args:
        preparation: what it does.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.missing = preparation.missing
        self.mask = preparation.mask
        self.centred = any(preparation.offset)
        self.register_buffer("offset", torch.tensor(preparation.offset), persistent=False)
        self.register_buffer("scale", torch.tensor(preparation.scale), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network sees [batch, steps, inputs] of raw x [batch, steps, features]."""
        lacking = None
        if self.missing != "refuse":
            lacking = torch.isnan(x)
            x = self.filled(x, lacking)
        seen = (x - self.offset if self.centred else x) / self.scale
        if self.mask and lacking is not None:
            return torch.cat((seen, lacking.to(seen.dtype)), dim=-1)
        return seen

    def filled(self, x: Tensor, lacking: Tensor) -> Tensor:
        """Return the values without a gap."""
        if self.missing == "zero":
            return torch.where(lacking, torch.zeros_like(x), x)
        if self.missing == "forward":
            # The places of what is known come first in the order of these keys, and at each step
            # the one that is wanted is the last of those counted. By sorting, since the running
            # maximum, which is shorter, has no counterpart in ONNX.
            steps = torch.arange(x.shape[1], device=x.device)[None, :, None].expand_as(x)
            known = (steps + x.shape[1] * lacking).argsort(1)
            counted = (~lacking).to(torch.int64).cumsum(1)
            last = x.gather(1, known.gather(1, (counted - 1).clamp_min(0)))
            return torch.where(counted > 0, last, self.offset.expand_as(x))
        return torch.where(lacking, self.offset.expand_as(x), x)


def tensor_on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor, on the CPU without copying it; it must not be written to."""
    with warnings.catch_warnings():
        # Arrays out of Ray's object store are read-only, and torch warns that it cannot keep
        # them so; `Placed` only reads.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array).to(device)


class Placed:
    """A part on a device, its values as they are stored until they reach a batch.

    Args:
        device: where it is placed; on the CPU it shares the part's memory.
        part: what is placed.
        preparation: what is done to the values of a batch.
    """

    def __init__(self, device: torch.device, part: Part, preparation: Preparation) -> None:
        self.x = tensor_on(device, part.x)
        self.y = tensor_on(device, part.y)
        self.steps = part.steps
        self.shapes = SHAPES if device.type == "cuda" else part.steps
        """To how many lengths at the most batches are padded."""
        self.at_once = measured_at_once(part.steps)
        self.known = None if part.lengths is None else torch.tensor(part.lengths)
        """The lengths where batches are chosen: on the CPU."""
        self.lengths = None if self.known is None else self.known.to(device)
        self.starts = None if self.known is None else torch.tensor(part.starts, device=device)
        self.prepare = Prepare(preparation).to(device)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, rows: Rows) -> Batch:
        """Return some sequences, in new memory."""
        y = self.y.index_select(0, rows.at)
        if self.lengths is None or self.starts is None:
            # A third of the time of x[rows], which matters beside a small network.
            return Batch(self.prepare(self.x.index_select(0, rows.at)), None, y)
        lengths, starts = self.lengths.index_select(0, rows.at), self.starts[rows.at]
        # What is padded repeats the last step, so that filling and scaling meet no strange values.
        steps = torch.arange(rows.steps, device=y.device)
        places = starts[:, None] + torch.minimum(steps, lengths[:, None] - 1)
        x = self.x.index_select(0, places.flatten()).view(*places.shape, -1)
        return Batch(self.prepare(x), lengths, y)

    def batches(self, order: Tensor, batch_size: int) -> list[Rows]:
        """Return places [sequences] on the CPU as batches."""
        parts = torch.split(order, batch_size)
        placed = torch.split(order.to(self.y.device), batch_size)
        if self.known is None:
            return [Rows(at, self.steps) for at in placed]
        longest = [int(self.known[part].max()) for part in parts]
        padded = [rounded(steps, self.steps, self.shapes) for steps in longest]
        return [Rows(at, steps) for at, steps in zip(placed, padded, strict=True)]

    def shuffled(self, batch_size: int) -> list[Rows]:
        """Return all rows in batches, in an order that torch's generator draws.

        Where lengths are unequal, sequences of like length come together, so that little is padded:
        within pools of many batches, drawn anew every time, and the batches in any order. Each is
        moved by up to a batch from its place by length, since where few sequences make one pool all
        epochs would have the same batches; and the batch that is smaller than others has sequences
        of any length, not always the longest, since each of them counts for more.
        """
        order = torch.randperm(len(self))
        known = self.known
        if known is None:
            return self.batches(order, batch_size)
        few = len(order) % batch_size
        whole, rest = torch.split(order, [len(order) - few, few])
        near = []
        for pool in torch.split(whole, POOL * batch_size):
            places = known[pool].argsort(stable=True).argsort()
            near.append(pool[(places + batch_size * torch.rand(len(pool))).argsort()])
        batches = self.batches(torch.cat((*near, rest)), batch_size)
        return [batches[place] for place in torch.randperm(len(batches)).tolist()]

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield every sequence once, those of like length together."""
        for rows in self.by_length(batch_size):
            yield self.rows(rows)

    def by_length(self, batch_size: int) -> list[Rows]:
        """Return all rows in batches, those of like length together."""
        order = torch.arange(len(self)) if self.known is None else self.known.argsort()
        return self.batches(order, batch_size)


def rounded(steps: int, most: int, shapes: int) -> int:
    """Return a length from ``steps`` to ``most`` that is one of at most so many."""
    unit = -(-most // shapes)
    return min(most, -(-steps // unit) * unit)


def answers(
    model: nn.Module, placed: Placed, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Return a model's outputs [sequences, outputs] for placed sequences, and their labels.

    Both are in the order of the lengths, where these are unequal: the same for every model.
    """
    device = placed.y.device
    model.eval()
    found, wanted = torch.empty(0), torch.empty_like(placed.y)
    done = 0
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        for x, lengths, y in placed.in_order(placed.at_once):
            outputs = model(x, lengths).float()
            # In one piece: what each batch left would lie between what the next ones could use
            # again, and 6,000 sequences of MNIST's form took 130 MB more.
            if not done:
                found = outputs.new_empty(len(placed), *outputs.shape[1:])
            found[done : done + len(y)], wanted[done : done + len(y)] = outputs, y
            done += len(y)
    return found, wanted


def measure(model: nn.Module, placed: Placed, goal: Goal, dtype: torch.dtype) -> dict[str, float]:
    """Return loss and metrics of a model on placed sequences."""
    found = answers(model, placed, dtype)
    with torch.inference_mode():
        return goal.scores(*found)
