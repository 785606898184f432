"""The network: a recurrent classifier of sequences."""

from typing import cast

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentClassifier(nn.Module):
    """LSTM or GRU layers and one linear layer over their outputs.

    Args:
        config: cell, hidden_size, layers, dropout, bidirectional and head are read.
        steps: length of every sequence.
        features: values a step.
        classes: number of classes.
    """

    def __init__(self, config: TrialConfig, *, steps: int, features: int, classes: int) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size * (2 if config.bidirectional else 1)
        # cuDNN seeds the dropout inside a stack of layers once a process, whatever is seeded
        # later (pytorch issue 74177), so a repeated epoch would differ: with dropout each layer
        # stands alone and the dropout between them is torch's own.
        depths = [1] * config.layers if config.dropout > 0 else [config.layers]
        self.stack = nn.ModuleList(
            CELLS[config.cell](
                features if place == 0 else width,
                config.hidden_size,
                num_layers=depth,
                batch_first=True,
                bidirectional=config.bidirectional,
            )
            for place, depth in enumerate(depths)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width * steps if config.head == "all-steps" else width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [batch, classes] of sequences [batch, steps, features], in float."""
        for place, recurrent in enumerate(self.stack):
            x, _ = recurrent(self.dropout(x) if place else x)
        return cast("Tensor", self.linear(self.summary(x)))

    def summary(self, outputs: Tensor) -> Tensor:
        """Return what the head keeps of the outputs [batch, steps, width]."""
        if self.config.head == "all-steps":
            return outputs.flatten(1)
        if self.config.head == "mean":
            return outputs.mean(1)
        if not self.config.bidirectional:
            return outputs[:, -1]
        # The backward direction has read the whole sequence when it arrives at the first step.
        hidden = self.config.hidden_size
        return torch.cat((outputs[:, -1, :hidden], outputs[:, 0, hidden:]), dim=1)
