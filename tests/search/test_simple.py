"""Models without a recurrent network, on data whose answers are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from search.simple import MOST_VALUES, features, simple_models, some, summary
from trainables.batches import Batch
from trainables.datasets import Part, SequenceDataset, Targets
from trainables.preparation import Preparation

RNG = np.random.default_rng(0)


def dataset(y: NDArray[Any], x: NDArray[Any], targets: Targets | None = None) -> SequenceDataset:
    """Return a data set of three parts, a third of the sequences each."""
    train, validation, test = (Part(x[n::3].astype(np.float32), y[n::3]) for n in range(3))
    return SequenceDataset(
        "made",
        train,
        validation,
        test,
        classes=() if targets else tuple(map(str, np.unique(y))),
        preparation=Preparation.divide(x.shape[2], 1.0),
        fingerprint="",
        targets=targets,
    )


def test_classes() -> None:
    y = RNG.permutation(np.repeat([0, 1, 2], [150, 90, 60]))
    x = RNG.normal(0, 1, (300, 4, 2))
    x[:, 2, 1] += 3 * y
    data = dataset(y, x)
    usual, linear = simple_models(data, "val_accuracy")
    assert (usual.name, linear.name) == ("the most frequent class", "a linear model")
    assert usual.test == pytest.approx((data.test.y == 0).mean())
    assert usual.scores["auroc"] == 0.5
    theirs = LogisticRegression(max_iter=200).fit(data.train.x.reshape(100, -1), data.train.y)
    assert linear.test == theirs.score(data.test.x.reshape(100, -1), data.test.y)
    assert linear.validation > 0.8 > usual.validation


def test_two_classes() -> None:
    y = np.arange(90) % 2
    x = RNG.normal(0, 1, (90, 3, 1)) + 4 * y[:, None, None]
    _, linear = simple_models(dataset(y, x), "val_auroc")
    assert linear.test > 0.99
    assert linear.scores["loss"] < 0.1


def test_numbers() -> None:
    x = RNG.normal(0, 1, (300, 4, 1))
    y = np.stack((2 * x[:, 0, 0] + 5, x[:, 3, 0] - 7), axis=1).astype(np.float32)
    train = y[::3].astype(np.float64)
    targets = Targets(("a", "b"), tuple(train.mean(0)), tuple(train.std(0)))
    usual, linear = simple_models(dataset(y, x, targets=targets), "val_r2")
    assert usual.name == "the mean"
    assert usual.test == pytest.approx(0, abs=0.1)
    assert linear.test > 0.99


def test_long_and_unequal_sequences_are_summarised() -> None:
    long = np.zeros((3, MOST_VALUES + 1, 1))
    assert simple_models(dataset(np.arange(12) % 2, long.repeat(4, 0)), "val_loss")[1].sees == (
        "mean, deviation, range, first and last value of each input"
    )
    batch = Batch(torch.tensor([[[1.0], [3.0], [3.0]]]), torch.tensor([2]), torch.tensor([0]))
    assert summary(batch).tolist() == [[2.0, 1.0, 1.0, 3.0, 1.0, 3.0]]


def test_labels_stay_with_their_sequences_where_lengths_are_unequal() -> None:
    lengths = np.array([3, 1, 2])
    part = Part(np.array([[3], [3], [3], [1], [2], [2]], np.float32), lengths, lengths)
    data = replace(dataset(np.arange(3), np.zeros((3, 1, 1))), train=part)
    seen, y = features(part, data, flat=False)
    assert seen[:, 0].tolist() == y.tolist()


def test_of_many_sequences_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.simple.MOST_SEQUENCES", 3)
    assert some(Part(np.zeros((9, 1, 1)), np.arange(9))).y.tolist() == [0, 4, 8]


def test_a_class_that_is_not_among_some_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.repeat([0, 1, 2], [150, 144, 6])
    x = RNG.normal(0, 1, (300, 3, 1)) + 4 * y[:, None, None]
    data = dataset(y, x)
    monkeypatch.setattr("search.simple.some", lambda part: part.take(np.flatnonzero(part.y < 2)))
    _, linear = simple_models(data, "val_accuracy")
    assert linear.test == pytest.approx(0.98, abs=0.02)
