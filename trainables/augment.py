"""Training sequences that are changed a little each time, so that fewer have to be there."""

import math

import torch
from torch import Tensor

from trainables.batches import Batch
from trainables.cells import taken
from trainables.config import TrialConfig


class Augment:
    """Changes the sequences of a batch at random, by torch's generator.

    Args:
        config: augment_shift, augment_warp, augment_scale and augment_noise are read.
        values: inputs that are values; those behind them say what was missing, and only move.
    """

    def __init__(self, config: TrialConfig, values: int) -> None:
        self.shift = config.augment_shift
        self.warp = config.augment_warp
        self.scale = config.augment_scale
        self.noise = config.augment_noise
        self.values = values

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch, changed."""
        x, lengths, y = batch
        if self.shift or self.warp:
            x = self.moved(x, lengths)
        if self.scale or self.noise:
            x = torch.cat((self.changed(x[..., : self.values]), x[..., self.values :]), dim=-1)
        return Batch(x, lengths, y)

    def moved(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return sequences moved in time, and run through faster here and slower there.

        At each step the value is taken from another place of the sequence, between two steps in
        proportion; before its begin and after its end the nearest value stands.
        """
        count, steps, _ = x.shape
        if lengths is None:
            lengths = torch.full((count,), steps, device=x.device)
        last = (lengths[:, None] - 1).to(x.dtype)
        at = torch.arange(steps, device=x.device, dtype=x.dtype).expand(count, -1)
        if self.warp:
            # One bend, whose slope stays above zero.
            bend = self.warp * drawn(x, count, 1) / math.pi
            at = at + bend * last * torch.sin(math.pi * at / last.clamp_min(1))
        if self.shift:
            at = at + torch.round(self.shift * drawn(x, count, 1) * lengths[:, None])
        at = torch.minimum(at.clamp_min(0), last)
        before = at.floor().long()
        after = torch.minimum(before + 1, last.long())
        part = (at - before)[..., None]
        return taken(x, before) * (1 - part) + taken(x, after) * part

    def changed(self, x: Tensor) -> Tensor:
        """Return values that are a little larger or smaller, and noisy."""
        if self.scale:
            x = x * torch.exp(self.scale * torch.randn(len(x), 1, x.shape[2], device=x.device))
        if self.noise:
            x = x + self.noise * torch.randn_like(x)
        return x


def drawn(x: Tensor, *shape: int) -> Tensor:
    """Return numbers from -1 to 1 where x is."""
    return 2 * torch.rand(*shape, device=x.device, dtype=x.dtype) - 1
