"""Tells how much of a batch is padding, and what sequences of unequal lengths cost.

Batches of sequences of like length, as a trial makes them, beside batches in any order, as a
DataLoader with a padding collate function makes them: what part of all steps is padding. And an
epoch of training, beside PyTorch's layers on packed sequences (`pack_padded_sequence`), which is
how its documentation handles unequal lengths; both on the same batches, on one thread, in turn.
"""

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.bench import Answer, answer, parser, ratios, spread
from trainables.batches import Batch, Placed, Rows
from trainables.cells import RecurrentNetwork
from trainables.config import TrialConfig
from trainables.datasets import Part, Shape
from trainables.device import configure, keep_memory
from trainables.preparation import Preparation

COUNT, FEATURES, CLASSES, BATCH = 2000, 6, 4, 32

LENGTHS = {
    "even from 5 to 50": lambda rng: rng.integers(5, 51, COUNT),
    "most short, some long": lambda rng: np.minimum(400, 5 + rng.lognormal(3, 0.8, COUNT)),
    "two kinds, 10 and 100": lambda rng: rng.choice([10, 100], COUNT),
}
"""How long sequences are: names, and what draws them."""


def part(draw: object) -> Part:
    """Return random sequences of drawn lengths."""
    rng = np.random.default_rng(0)
    lengths = np.asarray(draw(rng)).astype(np.int64)  # type: ignore[operator]
    x = rng.normal(size=(int(lengths.sum()), FEATURES)).astype(np.float32)
    return Part(x, rng.integers(0, CLASSES, COUNT), lengths)


def padding(placed: Placed, batches: list[Rows]) -> float:
    """Return what part of all steps of some batches is padding."""
    total = real = 0
    for rows in batches:
        batch = placed.rows(rows)
        assert batch.lengths is not None
        total += batch.x.shape[0] * batch.x.shape[1]
        real += int(batch.lengths.sum())
    return 1 - real / total


class Packed(nn.Module):
    """PyTorch's layers on packed sequences, as a loop by hand has them."""

    def __init__(self, config: TrialConfig) -> None:
        super().__init__()
        directions = config.ways
        self.layers = getattr(nn, config.cell.upper())(
            FEATURES,
            config.hidden_size,
            num_layers=config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        self.head = nn.Linear(directions * config.hidden_size, CLASSES)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits, from the mean of the outputs."""
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.layers(packed)[0], batch_first=True)
        logits: Tensor = self.head(outputs.sum(1) / lengths[:, None])
        return logits


def seconds(model: nn.Module, batches: list[Batch]) -> float:
    """Return the processor time of one pass over batches, forward and back."""
    began = time.process_time()
    for batch in batches:
        loss = nn.functional.cross_entropy(model(batch.x, batch.lengths), batch.y)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
    return time.process_time() - began


def measure(options: argparse.Namespace) -> Answer:
    """Count padding, then let the two train in turn."""
    configure(threads=1)
    keep_memory(varies=True)
    torch.manual_seed(0)
    plain = Preparation.divide(FEATURES, 1.0)
    rows = []
    for name, draw in LENGTHS.items():
        placed = Placed(torch.device("cpu"), part(draw), plain)
        ours = padding(placed, placed.shuffled(BATCH))
        theirs = padding(placed, placed.batches(torch.randperm(COUNT), BATCH))
        rows.append((f"padding, {name}", f"{ours:.1%}", f"{theirs:.1%}", f"{theirs / ours:.1f}"))
    placed = Placed(torch.device("cpu"), part(LENGTHS["even from 5 to 50"]), plain)
    batches = [placed.rows(rows) for rows in placed.shuffled(BATCH)]
    for cell in ("lstm", "gru"):
        for bidirectional in (False, True):
            config = TrialConfig(
                cell=cell, hidden_size=64, layers=1, bidirectional=bidirectional, head="mean"
            )
            shape = Shape(steps=50, inputs=FEATURES, outputs=CLASSES, varies=True)
            models = RecurrentNetwork(config, shape), Packed(config)
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(4 if options.short else 15):
                for model, times in zip(models, taken, strict=True):
                    times.append(seconds(model, batches))
            mine, packed = (one[1:] for one in taken)  # the first pass warms up
            both = " both ways" if bidirectional else ""
            rows.append(
                (
                    f"s an epoch, {cell.upper()} 64x1{both}",
                    spread(mine),
                    spread(packed),
                    spread(ratios(mine, packed)),
                )
            )
    return Answer(("", "Gatetune", "usual", "ratio"), rows)


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
