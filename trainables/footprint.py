"""What a network costs to run: its weights, their memory, the time for one sequence."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from trainables.datasets import Shape
from trainables.device import one_thread

WARM_UP, ASKED = 10, 50
"""Times that a network is asked before it is timed, and while it is."""

LEAST, MOST_S = 3, 1.0
"""Times that it is asked at least, and seconds after which that is enough."""


@dataclass(frozen=True)
class Footprint:
    """What a network costs to run.

    Attributes:
        weights: numbers that it has learned.
        size_mb: megabytes that they take in float32.
        latency_ms: milliseconds for one sequence as long as the longest, on one thread of the
            processor: the median of some, after a warm-up.
    """

    weights: int
    size_mb: float
    latency_ms: float


def footprint(network: nn.Module, shape: Shape) -> Footprint:
    """Measure a network that lies on the processor.

    Args:
        network: takes [sequences, steps, inputs], and the lengths where they vary.
        shape: of its data.
    """
    weights = sum(one.numel() for one in network.parameters())
    x = torch.zeros(1, shape.steps, shape.inputs)
    lengths = torch.tensor([shape.steps]) if shape.varies else None
    network.eval()
    taken: list[float] = []
    with one_thread(), torch.inference_mode():
        while len(taken) < LEAST or (len(taken) < WARM_UP + ASKED and sum(taken) < MOST_S):
            began = time.perf_counter()
            network(x, lengths)
            taken.append(time.perf_counter() - began)
    return Footprint(
        weights, 4e-6 * weights, 1e3 * statistics.median(taken[min(WARM_UP, len(taken) // 2) :])
    )
