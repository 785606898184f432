import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from trainables.batches import Prepare
from trainables.preparation import Preparation
from trainables.sources import Missing

VALUES = st.floats(-100, 100, width=32) | st.just(np.nan)


def filled(x: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float64]:
    """One sequence [steps, features] without a gap, value by value."""
    found = x.astype(np.float64)
    for feature, offset in enumerate(preparation.offset):
        last = offset
        for step in range(len(x)):
            if np.isnan(x[step, feature]):
                fills = {"zero": 0.0, "mean": offset, "forward": last}
                found[step, feature] = fills[preparation.missing]
            last = found[step, feature]
    return found


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("missing", ["zero", "mean", "forward"])
@given(x=arrays(np.float32, (3, 7, 2), elements=VALUES))
def test_gaps_are_filled_as_a_loop_would(
    x: NDArray[np.float32], missing: Missing, mask: bool
) -> None:
    preparation = Preparation((1.5, -2.0), (2.0, 0.5), missing, mask)

    seen = Prepare(preparation)(torch.from_numpy(x)).numpy()

    expected = np.stack([filled(one, preparation) for one in x])
    expected = (expected - preparation.offset) / preparation.scale
    if mask:
        expected = np.concatenate((expected, np.isnan(x)), axis=2)
    assert seen.shape[2] == preparation.inputs
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5)


def test_nothing_before_the_first_value_looks_ahead() -> None:
    x = torch.tensor([[[torch.nan], [torch.nan], [7.0], [torch.nan]]])

    seen = Prepare(Preparation((1.0,), (1.0,), "forward"))(x)

    assert seen.flatten().tolist() == [0, 0, 6, 6]


@given(arrays(np.float32, (20, 3), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan)))
def test_standardised_features_have_mean_0_and_deviation_1(x: NDArray[np.float32]) -> None:
    found = Preparation.standardise(x, "mean", mask=False)

    for column, offset, scale in zip(
        x.T.astype(np.float64), found.offset, found.scale, strict=True
    ):
        known = column[~np.isnan(column)]
        assert scale > 0
        if len(known) and known.std() > 1e-3 * max(1.0, abs(known.mean())):
            seen = (known - offset) / scale
            assert abs(seen.mean()) < 1e-3
            assert abs(seen.std() - 1) < 1e-3


@pytest.mark.parametrize(
    ("column", "offset", "scale"),
    [
        ([3, 3, 3], 3, 1),
        ([np.nan] * 3, 0, 1),
        ([5, np.nan, np.nan], 5, 1),
        ([0, 1e-45, 0], 0, 1),
        ([3e38, -3e38, 3e38, -3e38], 0, float(np.float32(3e38))),
        ([0, 2, 0, 2], 1, 1),
    ],
)
def test_features_that_hardly_change_or_are_huge(
    column: list[float], offset: float, scale: float
) -> None:
    found = Preparation.standardise(np.array(column, np.float32)[:, None], "zero", mask=False)

    assert found == Preparation((offset,), (scale,), "zero", mask=False)


def test_bytes_are_standardised_too() -> None:
    x = np.array([[0, 1], [255, 1]], np.uint8)

    assert Preparation.standardise(x, "refuse", mask=False).offset == (127.5, 1)


def test_a_preparation_survives_json() -> None:
    made = Preparation((0.1, 2.0), (1.0, 3.5), "forward", mask=True)

    assert Preparation.of(json.loads(json.dumps(asdict(made)))) == made
