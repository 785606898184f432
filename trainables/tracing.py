"""Makes tracing recurrent layers quick, however long the sequences are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey

OPERATIONS = (torch.ops.aten.lstm.input, torch.ops.aten.gru.input)
DECOMPOSED = DispatchKey.CompositeImplicitAutograd
"""Under which an operation keeps its decomposition."""


@contextmanager
def known_shapes() -> Iterator[None]:
    """Tell what recurrent layers return at once, while the block runs and in all threads.

    `torch.export` keeps a layer as one operation, but to learn the shapes of what it returns goes
    through a decomposition of it, cell by cell for each step, which takes seconds where sequences
    are short and minutes where they are long (`benchmarks/export.py`).
    """
    before = [(one, one.py_kernels[DECOMPOSED]) for one in OPERATIONS]
    try:
        for operation in OPERATIONS:
            decompose(operation, returned)
        yield
    finally:
        for operation, decomposition in before:
            decompose(operation, decomposition)


def decompose(operation: Any, how: Any) -> None:
    """Set what stands for an operation while it is traced."""
    operation.py_kernels[DECOMPOSED] = how
    operation._dispatch_cache.clear()  # as its own `py_impl` does


def returned(x: Tensor, states: Any, *settings: Any) -> tuple[Tensor, ...]:
    """Return tensors like those of a layer, whose values nobody asks for.

    Args:
        x: its input [steps, batch, features], or the first two exchanged.
        states: its first states, each [layers x directions, batch, hidden].
        settings: its weights and settings, of which the last but one says whether it has two
            directions.
    """
    kept = states if isinstance(states, list | tuple) else [states]
    directions = 2 if settings[-2] else 1
    outputs = x.new_empty(*x.shape[:2], kept[0].shape[-1] * directions)
    return outputs, *(torch.empty_like(one) for one in kept)
