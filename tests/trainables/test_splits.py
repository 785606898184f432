import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainables import splits
from trainables.faults import DatasetError

FRACTIONS = st.floats(0.01, 0.99)
SEEDS = st.integers(-(2**40), 2**40)


def whole(halves: tuple[splits.Rows, splits.Rows], count: int) -> bool:
    """Whether two halves are all rows, each in order."""
    stay, out = (half.tolist() for half in halves)
    return sorted(stay + out) == [*range(count)] and stay == sorted(stay) and out == sorted(out)


def classes(counts: list[int]) -> splits.Rows:
    """So many sequences of each class, mixed."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), FRACTIONS, SEEDS)
def test_stratified(counts: list[int], fraction: float, seed: int) -> None:
    y = classes(counts)
    try:
        stay, out = splits.stratified(y, fraction, seed, "test")
    except DatasetError:
        # A class of n has about n * fraction in one half: below one, it may be left out.
        assert min(counts) * min(fraction, 1 - fraction) < 2
        return
    assert whole((stay, out), len(y))
    assert len(out) == np.ceil(fraction * len(y))
    for number, count in enumerate(counts):
        assert 1 <= (y[out] == number).sum() < count
        assert abs((y[out] == number).sum() - fraction * count) < 2
    again = splits.stratified(y, fraction, seed, "test")
    assert again[1].tolist() == out.tolist()


@given(st.integers(1, 50), FRACTIONS, SEEDS)
def test_at_random(count: int, fraction: float, seed: int) -> None:
    try:
        stay, out = splits.at_random(count, fraction, seed, "test")
    except DatasetError:
        assert np.ceil(fraction * count) == count
        return
    assert whole((stay, out), count)
    assert len(out) == np.ceil(fraction * count)
    assert splits.at_random(count, fraction, seed, "test")[1].tolist() == out.tolist()


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=60),
    st.none() | st.integers(1, 3),
    FRACTIONS,
    SEEDS,
    st.booleans(),
)
def test_groups_are_never_divided(
    groups: list[int], kinds: int | None, fraction: float, seed: int, text: bool
) -> None:
    named: Any = np.array([f"g{group}" for group in groups]) if text else np.array(groups)
    y = None if kinds is None else np.arange(len(groups)) % kinds
    try:
        stay, out = splits.by_group(named, y, fraction, seed, "test")
    except DatasetError:
        return
    assert whole((stay, out), len(groups))
    assert len(stay)
    assert len(out)
    assert not set(named[stay]) & set(named[out])
    if y is not None:
        assert set(y[stay]) == set(y[out]) == set(y)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])
def test_the_share_of_groups_is_kept(fraction: float) -> None:
    groups = np.repeat(np.arange(200), 5)
    y = np.arange(1000) % 2

    _, out = splits.by_group(groups, y, fraction, 0, "test")

    assert abs(len(out) / 1000 - fraction) < 0.01
    assert abs(y[out].mean() - 0.5) < 0.05


def test_few_groups_of_unlike_sizes() -> None:
    groups = np.repeat(np.arange(4), [10, 20, 30, 40])

    for seed in range(5):
        _, out = splits.by_group(groups, np.arange(100) % 2, 0.2, seed, "test")
        assert len(set(groups[out])) == 1


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.3])
def test_a_large_group_leaves_the_share_to_the_others(fraction: float) -> None:
    groups = np.concatenate((np.zeros(600, np.int64), np.repeat(np.arange(1, 101), 4)))

    for seed in range(5):
        _, out = splits.by_group(groups, np.arange(1000) % 2, fraction, seed, "test")
        assert len(out) / 1000 == pytest.approx(fraction, abs=0.04)


@pytest.mark.parametrize("seed", range(8))
def test_a_class_of_few_groups_is_in_both_halves_where_that_can_be(seed: int) -> None:
    groups = np.repeat(np.arange(30), 4)
    y = np.isin(groups, [3, 11, 20]).astype(np.int64)

    stay, out = splits.by_group(groups, y, 0.2, seed, "test")

    assert 0 < len(set(groups[out]) & {3, 11, 20}) < 3
    assert len(out) == pytest.approx(24, abs=8)
    assert whole((stay, out), 120)


def test_a_rare_class_is_no_fault_where_both_halves_have_it() -> None:
    groups = np.arange(40)
    y = np.array([1, 1] + [0] * 38)

    stay, out = splits.by_group(groups, y, 0.5, 0, "test")

    assert y[stay].sum() == y[out].sum() == 1


@pytest.mark.parametrize(
    ("groups", "y", "fraction", "message"),
    [
        ([3] * 9, None, 0.5, "data.group: must have enough groups for test=0.5, but has 1"),
        ([1, 2, 3] * 4, None, 0.02, "data.group: must have enough groups for test=0.02, but has 3"),
        ([1, 2, 3] * 4, None, 0.98, "data.group: must have enough groups for test=0.98, but has 3"),
        (
            [1, 1, 1, 2, 2, 2],
            [0, 0, 0, 1, 1, 1],
            0.5,
            ("data.group: the test part of 3 sequences and the rest must have every class, but 2 "
            "are in one only"),
        ),
    ],
)  # fmt: skip
def test_groups_that_cannot_be_split(
    groups: list[int], y: list[int] | None, fraction: float, message: str
) -> None:
    known = None if y is None else np.array(y)

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        splits.by_group(np.array(groups), known, fraction, 0, "test")


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=50), FRACTIONS, st.sampled_from("ifUM"))
def test_what_is_held_out_is_never_earlier(times: list[int], fraction: float, kind: str) -> None:
    as_kind = {
        "i": np.array(times),
        "f": np.array(times) / 3,
        "U": np.array([f"2025-01-{time + 10:02}" for time in times]),
        "M": np.array(times).astype("M8[D]"),
    }[kind]
    try:
        stay, out = splits.by_time(as_kind, None, fraction, "test")
    except DatasetError:
        assume(len(set(times)) > 1)
        assert (np.array(times) == min(times)).sum() > len(times) - np.ceil(fraction * len(times))
        return
    assert whole((stay, out), len(times))
    assert max(as_kind[stay].tolist()) < min(as_kind[out].tolist())
    ties = (as_kind[out] == as_kind[out].min()).sum() if kind != "U" else len(out)
    assert 0 <= len(out) - np.ceil(fraction * len(times)) < ties


@pytest.mark.parametrize(
    ("times", "y", "message"),
    [
        (
            [5, 5, 5, 5],
            [0, 1, 0, 1],
            ("data.time: the test part of 2 sequences would hold all of them, since they are "
                "of the same time, 5"),
        ),
        (
            [1, 2, 3, 4],
            [0, 0, 1, 1],
            ("data.time: the test part of 2 sequences and the rest must have every class, but "
                "2 are in one only"),
        ),
    ],
)  # fmt: skip
def test_times_that_cannot_be_split(times: list[int], y: list[int], message: str) -> None:
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        splits.by_time(np.array(times), np.array(y), 0.5, "test")
