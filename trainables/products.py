"""Matrix products on a processor, by the faster of the libraries that PyTorch has.

PyTorch gives those in float32 to Intel's MKL, which on AMD's processors with AVX-512 computes at
about half of the speed of oneDNN, the other one (`docs/decisions/0018-products.md`). Those in
bfloat16 are oneDNN's, but for what is added to them, which is written down first. No public
function of PyTorch's asks oneDNN alone; the operation here is what its compiler's code calls for
linear layers.
"""

from functools import cache

import torch
from torch import Tensor, nn

WORTH_IT = 1 << 20
"""The multiplications of a product from which oneDNN is faster there: a call of it takes longer."""


@cache
def has_faster() -> bool:
    """Whether this processor is one on which oneDNN computes faster than MKL."""
    found = torch.cpu.get_capabilities()
    made_by_amd = str(found.get("cpu_name", "")).startswith("AMD")
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return made_by_amd and bool(found.get("avx512_f")) and has_onednn


def is_faster(x: Tensor, weight: Tensor) -> bool:
    """Whether `linear` asks oneDNN, which cannot write where memory is there already."""
    if x.dtype == torch.bfloat16:  # which nobody else multiplies
        return True
    return (
        len(x) * weight.numel() >= WORTH_IT
        and x.dtype == torch.float32  # gradients are checked in more digits
        and has_faster()
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x · weightᵀ + bias [rows, outputs], as `torch.nn.functional.linear` does.

    Not for autograd, which does not know the way back through it.

    Args:
        x: [rows, inputs].
        weight: [outputs, inputs].
        bias: [outputs].
    """
    if not is_faster(x, weight):
        return nn.functional.linear(x, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def over_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ · right [left's columns, right's columns]; not for autograd, either.

    Args:
        left: [rows, columns].
        right: [rows, columns], the fewer ones: what oneDNN reads the other way round is copied.
    """
    # PyTorch's own product of bfloat16 is oneDNN's, and needs no turning around.
    if right.dtype != torch.bfloat16 and is_faster(right.t(), left.t()):
        return linear(right.t(), left.t()).t()
    return left.t() @ right
