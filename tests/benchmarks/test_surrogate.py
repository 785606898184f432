"""What a configuration is worth: those like it count."""

import numpy as np
import pytest

from benchmarks.curves import DOCUMENTS, TABLE
from benchmarks.replay import Table
from benchmarks.surrogate import Surrogate


def test_luck_is_told_from_worth_by_the_neighbours() -> None:
    random = np.random.default_rng(0)
    points = random.random((200, 2))
    truth = 0.95 - 0.2 * np.square(points - 0.5).sum(1)

    worth = Surrogate(points, truth + 0.01 * random.standard_normal(200)).worth(points)

    assert np.sqrt(np.square(worth - truth).mean()) < 0.004


def test_a_configuration_that_was_never_trained_has_a_worth() -> None:
    points = np.linspace(0, 1, 20)[:, None]
    accuracies = 0.9 - 0.1 * points[:, 0]

    [worth] = Surrogate(np.delete(points, 9, 0), np.delete(accuracies, 9)).worth(points[9:10])

    assert worth == pytest.approx(accuracies[9], abs=0.002)


def test_what_may_be_true_is_as_far_apart_as_what_is_known_leaves_open() -> None:
    random = np.random.default_rng(0)
    points = np.linspace(0, 1, 100)[:, None]
    truth = 0.9 - 0.1 * points[:, 0]
    surrogate = Surrogate(points, truth + 0.01 * random.standard_normal(100))

    drawn = surrogate.drawn(points, random.standard_normal((500, 100)))

    off = surrogate.worth(points) - truth
    assert drawn.mean(0) == pytest.approx(surrogate.worth(points), abs=0.001)
    # Far less than the noise, 0.01, of a single one.
    assert np.sqrt(np.square(off).mean()) == pytest.approx(drawn.std(0).mean(), abs=0.0015)
    assert drawn.std(0).max() < 0.005


@pytest.mark.parametrize("source", DOCUMENTS)
def test_a_held_out_training_is_nearer_to_the_worth_than_to_the_others(source: str) -> None:
    worth, others = np.mean([Table(TABLE, source, at).off() for at in range(4)], axis=0)

    assert worth < others
