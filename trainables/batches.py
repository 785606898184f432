"""A part of a data set where the network is, and measuring a network on it."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.datasets import Part


def tensor_on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor, on the CPU without copying it; it must not be written to."""
    with warnings.catch_warnings():
        # Arrays out of Ray's object store are read-only, and torch warns that it cannot keep
        # them so; `Placed` only reads.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array).to(device)


@dataclass(frozen=True, eq=False)
class Placed:
    """A part on a device, its values as they are stored until they reach a batch.

    Attributes:
        x: [sequences, steps, features], uint8 or float32; on the CPU it shares the part's memory.
        y: [sequences] int64.
        scale: the network sees ``x / scale``.
    """

    x: Tensor
    y: Tensor
    scale: float

    @classmethod
    def on(cls, device: torch.device, part: Part, scale: float) -> "Placed":
        """Place a part on a device."""
        return cls(tensor_on(device, part.x), tensor_on(device, part.y), scale)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return some sequences as the network sees them, in new memory, and their labels."""
        # A third of the time of x[rows], which matters beside a small network.
        return self.x.index_select(0, rows) / self.scale, self.y.index_select(0, rows)


def measure(
    model: nn.Module, placed: Placed, dtype: torch.dtype, *, batch_size: int = 256
) -> dict[str, float]:
    """Return the mean loss and the accuracy of a model on placed sequences."""
    device = placed.y.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    model.eval()
    with (
        torch.inference_mode(),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        for rows in torch.split(torch.arange(len(placed), device=device), batch_size):
            x, y = placed.rows(rows)
            logits = model(x).float()
            loss = nn.functional.cross_entropy(logits, y, reduction="sum")
            sums += torch.stack((loss, (logits.argmax(1) == y).sum()))
    loss_sum, correct = sums.tolist()
    return {"loss": loss_sum / len(placed), "accuracy": correct / len(placed)}
