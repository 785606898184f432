"""The network: a recurrent classifier of sequences."""

from typing import cast

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.datasets import Shape
from trainables.gru import GRU

CELLS: dict[str, type[nn.LSTM] | type[GRU]] = {"lstm": nn.LSTM, "gru": GRU}


class BothWays(nn.Module):
    """A bidirectional layer over sequences of unequal lengths.

    PyTorch's own would begin the way back with the padding. Packing the sequences helps that, and
    takes 1.5 to 4 times as long on a processor as to turn each of them around.

    Args:
        cell: the class of the layer.
        features: values a step.
        hidden_size: units of each direction.
    """

    def __init__(self, cell: type[nn.LSTM] | type[GRU], features: int, hidden_size: int) -> None:
        super().__init__()
        self.onward = cell(features, hidden_size, batch_first=True)
        self.back = cell(features, hidden_size, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs [batch, steps, 2 hidden_size]; those of the padding mean nothing."""
        onward, _ = self.onward(x)
        back, _ = self.back(turned(x, lengths))
        return torch.cat((onward, turned(back, lengths)), dim=2)


def turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Return sequences [batch, steps, features] turned around, the padding where it was."""
    steps = torch.arange(x.shape[1], device=x.device)
    behind = lengths[:, None] - 1 - steps
    return taken(x, torch.where(behind >= 0, behind, steps))


def taken(x: Tensor, places: Tensor) -> Tensor:
    """Return the steps of sequences [batch, steps, features] at places [batch, steps]."""
    return x.gather(1, places[:, :, None].expand_as(x))


class RecurrentNetwork(nn.Module):
    """LSTM or GRU layers and one linear layer over their outputs.

    Args:
        config: cell, hidden_size, layers, dropout, bidirectional and head are read.
        shape: of the data; the head ``all-steps`` cannot have sequences of unequal lengths.
    """

    def __init__(self, config: TrialConfig, shape: Shape) -> None:
        super().__init__()
        self.config = config
        self.turns = shape.varies and config.bidirectional
        width = config.width
        # cuDNN seeds the dropout inside a stack of layers once a process, whatever is seeded
        # later (pytorch issue 74177), so a repeated epoch would differ: with dropout each layer
        # stands alone and the dropout between them is torch's own.
        single = config.dropout > 0 or self.turns
        depths = [1] * config.layers if single else [config.layers]
        cell = CELLS[config.cell]
        self.stack = nn.ModuleList(
            BothWays(cell, width if place else shape.inputs, config.hidden_size)
            if self.turns
            else cell(
                width if place else shape.inputs,
                config.hidden_size,
                num_layers=depth,
                batch_first=True,
                bidirectional=config.bidirectional,
            )
            for place, depth in enumerate(depths)
        )
        self.dropout = nn.Dropout(config.dropout)
        kept = width * (shape.steps if config.head == "all-steps" else 1)
        self.linear = nn.Linear(kept, shape.outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs [batch, outputs] of sequences.

        Args:
            x: [batch, steps, features], in float.
            lengths: [batch], of each sequence; what follows in ``x`` changes nothing, if finite.
                None where none is shorter.
        """
        for place, recurrent in enumerate(self.stack):
            x = self.dropout(x) if place else x
            x = recurrent(x, lengths) if self.turns else recurrent(x)[0]
        kept = self.summary(x) if lengths is None else self.masked(x, lengths)
        return cast("Tensor", self.linear(kept))

    def summary(self, outputs: Tensor) -> Tensor:
        """Return what the head keeps of the outputs [batch, steps, width]."""
        if self.config.head == "all-steps":
            return outputs.flatten(1)
        if self.config.head == "mean":
            return outputs.mean(1)
        return self.last(outputs, outputs[:, -1])

    def masked(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head keeps of outputs of which some are padding."""
        steps = torch.arange(outputs.shape[1], device=outputs.device)
        if self.config.head == "mean":
            inside = (steps < lengths[:, None]).to(outputs.dtype)
            return (outputs * inside[:, :, None]).sum(1) / lengths[:, None]
        at = (lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])
        return self.last(outputs, outputs.gather(1, at).squeeze(1))

    def last(self, outputs: Tensor, final: Tensor) -> Tensor:
        """Return the outputs after the whole sequence, of which ``final`` [batch, width] ended."""
        if not self.config.bidirectional:
            return final
        # The way back has read the whole sequence when it arrives at the first step.
        hidden = self.config.hidden_size
        return torch.cat((final[:, :hidden], outputs[:, 0, hidden:]), dim=1)
