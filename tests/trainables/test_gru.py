from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from trainables.device import runs_bfloat16
from trainables.gru import GRU, Steps
from trainables.products import is_faster


def pair(units: int = 4, **options: Any) -> tuple[nn.GRU, GRU]:
    """PyTorch's layers and ours with the same weights."""
    torch.manual_seed(0)
    theirs = nn.GRU(3, units, batch_first=True, **options)
    ours = GRU(3, units, batch_first=True, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


needs_bfloat16 = pytest.mark.skipif(
    not runs_bfloat16(torch.device("cpu")), reason="this processor cannot compute in bfloat16"
)


def learned(layers: nn.GRU, x: Tensor) -> list[Tensor]:
    """What layers answer, and the gradients of everything that the answers follow from."""
    layers.zero_grad()
    x = x.clone().requires_grad_()
    outputs, ends = layers(x)
    (outputs.sin().sum() + ends.cos().sum()).backward()
    assert x.grad is not None
    return [outputs, ends, x.grad, *(w.grad for w in layers.parameters() if w.grad is not None)]


@pytest.mark.parametrize("shape", [(5, 6, 3), (1, 6, 3), (5, 1, 3)])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_answers_and_gradients_are_pytorchs(
    num_layers: int, bidirectional: bool, shape: tuple[int, ...]
) -> None:
    theirs, ours = pair(num_layers=num_layers, bidirectional=bidirectional)
    x = torch.randn(shape)

    with patch.object(Steps, "apply", wraps=Steps.apply) as used:
        found = learned(ours, x)

    assert used.call_count == num_layers * (1 + bidirectional)
    assert len(found) == 3 + 4 * used.call_count
    torch.testing.assert_close(found, learned(theirs, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("by_onednn", [False, True])
def test_wide_layers_are_pytorchs_by_either_library(by_onednn: bool) -> None:
    theirs, ours = pair(80, num_layers=2)
    x = torch.randn(64, 6, 3)

    with patch("trainables.products.has_faster", return_value=by_onednn):
        assert is_faster(x[:, 0], theirs.all_weights[0][1]) is by_onednn
        found = learned(ours, x)

    torch.testing.assert_close(found, learned(theirs, x), rtol=1e-5, atol=1e-4)


@needs_bfloat16
@pytest.mark.parametrize("bidirectional", [False, True])
def test_in_bfloat16_they_are_pytorchs_but_for_its_eight_bits(bidirectional: bool) -> None:
    theirs, ours = pair(48, num_layers=2, bidirectional=bidirectional)
    x = torch.randn(32, 20, 3)

    with (
        torch.autocast("cpu", torch.bfloat16),
        patch.object(Steps, "apply", wraps=Steps.apply) as used,
    ):
        found = learned(ours, x)

    assert used.call_count == 2 * (1 + bidirectional)
    assert [one.dtype for one in found] == 2 * [torch.bfloat16] + (len(found) - 2) * [torch.float32]
    for here, there in zip(found, learned(theirs, x), strict=True):
        assert (here - there).norm() < 0.01 * there.norm()


def test_gradients_are_those_of_the_answers() -> None:
    layers = GRU(3, 4, batch_first=True).double()
    given = [torch.randn(6, 2, 3, dtype=torch.double, requires_grad=True), *layers.all_weights[0]]

    torch.autograd.gradcheck(Steps.apply, given)


def test_where_nothing_is_learned_pytorch_answers() -> None:
    theirs, ours = pair(num_layers=2)
    x, begin = torch.randn(5, 6, 3), torch.randn(2, 5, 4)
    with patch.object(Steps, "apply", side_effect=AssertionError):
        with torch.no_grad():
            assert torch.equal(ours(x)[0], theirs(x)[0])
        assert torch.equal(ours(x, begin)[0], theirs(x, begin)[0])
        assert torch.equal(ours.eval()(x)[0], theirs.eval()(x)[0])
