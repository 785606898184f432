from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trainables.batches import POOL, Batch, Placed, measure, rounded
from trainables.datasets import Part
from trainables.goals import Classes
from trainables.preparation import Preparation

CPU = torch.device("cpu")
SCALED = Preparation((1.0, -1.0), (2.0, 4.0))


def part(lengths: list[int], *, varies: bool = True) -> Part:
    """Random sequences of two features, each of a class of its own."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((sum(lengths), 2), np.float32)
    y = np.arange(len(lengths))
    if varies:
        return Part(x, y, np.array(lengths))
    return Part(x.reshape(len(lengths), lengths[0], 2), y)


def check(batch: Batch, of: Part) -> None:
    """Whether a batch holds the sequences that its classes name."""
    for place, row in enumerate(batch.y.tolist()):
        sequence = (of.sequence(row) - [1.0, -1.0]) / [2.0, 4.0]
        length = len(sequence)
        np.testing.assert_allclose(batch.x[place, :length], sequence, rtol=1e-5, atol=1e-6)
        assert torch.isfinite(batch.x[place]).all()
        if batch.lengths is not None:
            assert int(batch.lengths[place]) == length


LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 12), st.integers(0, 9))
def test_batches_of_unequal_lengths_are_the_plain_sequences(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    made = part(lengths)
    placed = Placed(CPU, made, SCALED)

    torch.manual_seed(seed)
    rows = placed.shuffled(batch_size)
    torch.manual_seed(seed)
    again = placed.shuffled(batch_size)

    places = [one.at.tolist() for one in rows]
    assert sorted(chain(*places)) == [*range(len(lengths))]
    assert max(map(len, places)) <= batch_size
    assert len(rows) == -(-len(lengths) // batch_size)
    assert places == [one.at.tolist() for one in again]
    for batch in map(placed.rows, rows):
        check(batch, made)
        assert batch.x.shape[1] == max(lengths[row] for row in batch.y.tolist())


@given(st.integers(1, 30), st.integers(1, 12), st.booleans())
def test_every_sequence_once_in_order(count: int, batch_size: int, varies: bool) -> None:
    lengths = np.random.default_rng(count).integers(1, 9, count) if varies else [5] * count
    made = part([int(length) for length in lengths], varies=varies)
    placed = Placed(CPU, made, SCALED)

    batches = list(placed.in_order(batch_size))

    assert sorted(torch.cat([batch.y for batch in batches]).tolist()) == [*range(count)]
    for batch in batches:
        check(batch, made)
        assert (batch.lengths is not None) == varies


def test_like_lengths_come_together_and_the_order_changes() -> None:
    made = part(np.random.default_rng(0).integers(1, 100, POOL * 8).tolist())
    placed = Placed(CPU, made, SCALED)

    torch.manual_seed(0)
    first, second = placed.shuffled(8), placed.shuffled(8)

    for rows in (first, second):
        padded = sum(batch.x.shape[1] * len(batch.y) for batch in map(placed.rows, rows))
        assert padded < 1.1 * len(made.x)
    assert [rows.at.tolist() for rows in first] != [rows.at.tolist() for rows in second]


def test_a_small_batch_has_other_sequences_each_time_and_not_the_longest() -> None:
    placed = Placed(CPU, part([*range(1, 34)]), SCALED)

    torch.manual_seed(0)
    epochs = [placed.shuffled(8) for _ in range(20)]

    assert len({int(one.at) for rows in epochs for one in rows if len(one.at) == 1}) > 10
    assert len({frozenset(one.at.tolist()) for rows in epochs for one in rows}) > 50


@pytest.mark.parametrize(("steps", "together"), [(28, 256), (512, 256), (2048, 64), (10**6, 1)])
def test_of_long_sequences_fewer_are_measured_together(steps: int, together: int) -> None:
    assert Placed(CPU, part([1, steps]), SCALED).at_once == together


@given(st.integers(1, 300), st.integers(1, 12))
def test_a_length_is_rounded_up_to_one_of_few(most: int, shapes: int) -> None:
    found = [rounded(steps, most, shapes) for steps in range(1, most + 1)]

    assert len(set(found)) <= shapes
    assert all(steps <= one <= most for steps, one in enumerate(found, start=1))
    assert [rounded(steps, most, most) for steps in range(1, most + 1)] == [*range(1, most + 1)]


def test_nothing_is_written_to_the_data() -> None:
    made = part([3, 1, 2])
    made.x.flags.writeable = False
    placed = Placed(CPU, made, SCALED)
    before = made.x.copy()

    for batch in placed.in_order(2):
        batch.x.zero_()

    assert np.array_equal(made.x, before)


class Parity(nn.Module):
    """Answers whether the first value of a sequence is odd."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        assert len(x) == len(lengths)
        return nn.functional.one_hot(x[:, 0, 0].long() % 2, 2).float()


def test_labels_stay_with_their_sequences_when_they_are_measured() -> None:
    lengths = np.array([5, 1, 3, 2, 4])
    x = np.repeat(lengths, lengths).astype(np.float32)[:, None]
    placed = Placed(CPU, Part(x, lengths % 2, lengths), Preparation((0.0,), (1.0,)))

    for size in (1, 2, 5):
        placed.at_once = size
        found = measure(Parity(), placed, Classes(), torch.float32)
        assert found["accuracy"] == 1.0
