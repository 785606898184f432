from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn

from trainables.device import runs_bfloat16
from trainables.products import WORTH_IT, has_faster, is_faster, linear, over_rows


@pytest.fixture(params=[False, True])
def by_onednn(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both libraries, whichever is faster here."""
    with patch("trainables.products.has_faster", return_value=request.param):
        yield request.param


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("rows", [1, 64])
def test_products_are_those_of_a_linear_layer(by_onednn: bool, rows: int, has_bias: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(rows, 300), torch.randn(200, 300)
    bias = torch.randn(200) if has_bias else None

    assert is_faster(x, weight) is (by_onednn and rows == 64)
    expected = nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(linear(x, weight, bias), expected, rtol=1e-5, atol=1e-4)


def test_products_over_rows(by_onednn: bool) -> None:
    torch.manual_seed(0)
    left, right = torch.randn(500, 90), torch.randn(500, 70)

    assert is_faster(right.t(), left.t()) is by_onednn
    torch.testing.assert_close(over_rows(left, right), left.t() @ right, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not runs_bfloat16(torch.device("cpu")), reason="no bfloat16 here")
def test_products_in_bfloat16_are_rounded_once() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(5, 30), torch.randn(20, 30), torch.randn(20)
    low = [one.bfloat16() for one in (x, weight, bias)]
    exact = [one.double() for one in low]

    found, over = linear(*low), over_rows(low[0], low[0])

    assert is_faster(low[0], low[1])
    expected = nn.functional.linear(*exact)
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(over.double(), exact[0].t() @ exact[0], rtol=2**-8, atol=1e-6)


def test_small_products_and_those_in_more_digits_are_mkls() -> None:
    x, weight = torch.zeros(64, WORTH_IT >> 12), torch.zeros(64, WORTH_IT >> 12)
    with patch("trainables.products.has_faster", return_value=True):
        assert is_faster(x, weight)
        assert not is_faster(x[1:], weight)
        assert not is_faster(x.double(), weight.double())


@pytest.mark.parametrize(
    ("capabilities", "faster"),
    [
        ({"cpu_name": "AMD EPYC 9755", "avx512_f": True}, True),
        ({"cpu_name": "AMD EPYC 7763", "avx512_f": False}, False),
        ({"cpu_name": "Intel(R) Xeon(R) Processor", "avx512_f": True}, False),
        ({"architecture": "arm64"}, False),
    ],
)
def test_onednn_is_faster_on_amds_with_avx512(capabilities: dict[str, Any], faster: bool) -> None:
    has_faster.cache_clear()
    with patch("torch.cpu.get_capabilities", return_value=capabilities):
        assert has_faster() is faster
    has_faster.cache_clear()
