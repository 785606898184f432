"""Models without a recurrent network, on data whose answers are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from search.winner.simple import MOST_VALUES, Fitted, features, simple_models, some, summary
from trainables.batches import Batch
from trainables.datasets import Part, SequenceDataset, Targets
from trainables.goals import plain_goal
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


def score(
    data: SequenceDataset, one: Fitted, metric: str = "accuracy", part: str = "test"
) -> float:
    y = torch.tensor(getattr(data, part).y)
    return plain_goal(data.targets, torch.device("cpu")).scores(getattr(one, part), y)[metric]


def test_classes() -> None:
    y = RNG.permutation(np.repeat([0, 1, 2], [150, 90, 60]))
    x = RNG.normal(0, 1, (300, 4, 2))
    x[:, 2, 1] += 3 * y
    data = dataset(y, x)
    usual, linear = simple_models(data)
    assert (usual.name, linear.name) == ("the most frequent class", "a linear model")
    assert score(data, usual) == pytest.approx((data.test.y == 0).mean())
    assert score(data, usual, "auroc") == 0.5
    theirs = LogisticRegression(max_iter=200).fit(data.train.x.reshape(100, -1), data.train.y)
    assert score(data, linear) == theirs.score(data.test.x.reshape(100, -1), data.test.y)
    on_validation = [score(data, one, part="validation") for one in (linear, usual)]
    assert on_validation[0] > 0.8 > on_validation[1]


def test_two_classes() -> None:
    y = np.arange(90) % 2
    x = RNG.normal(0, 1, (90, 3, 1)) + 4 * y[:, None, None]
    data = dataset(y, x)
    _, linear = simple_models(data)
    assert score(data, linear, "auroc") > 0.99
    assert score(data, linear, "loss") < 0.1


def test_the_fit_leaves_other_processors_to_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = LogisticRegression.fit
    threads: set[int] = set()

    def watched(self: LogisticRegression, x: Any, y: Any) -> Any:
        found = threadpool_info()
        threads.update(one["num_threads"] for one in found if one["user_api"] == "blas")
        return fit(self, x, y)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    simple_models(dataset(np.arange(90) % 2, RNG.normal(0, 1, (90, 3, 1))))
    assert threads == {1}


def test_numbers() -> None:
    x = RNG.normal(0, 1, (300, 4, 1))
    y = np.stack((2 * x[:, 0, 0] + 5, x[:, 3, 0] - 7), axis=1).astype(np.float32)
    train = y[::3].astype(np.float64)
    targets = Targets(("a", "b"), tuple(train.mean(0)), tuple(train.std(0)))
    data = dataset(y, x, targets=targets)
    usual, linear = simple_models(data)
    assert usual.name == "the mean"
    assert score(data, usual, "r2") == pytest.approx(0, abs=0.1)
    assert score(data, linear, "r2") > 0.99


def test_long_and_unequal_sequences_are_summarised() -> None:
    long = np.zeros((3, MOST_VALUES + 1, 1))
    assert simple_models(dataset(np.arange(12) % 2, long.repeat(4, 0)))[1].sees == (
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
    monkeypatch.setattr("search.winner.simple.MOST_SEQUENCES", 3)
    numbers = np.arange(9.0)[:, None]
    assert some(Part(np.zeros((9, 1, 1)), numbers)).y.tolist() == [[0.0], [4.0], [8.0]]


def test_of_a_rare_class_one_is_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.winner.simple.MOST_SEQUENCES", 3)
    labels = np.array([0, 0, 1, 0, 0, 0, 2, 0, 0])
    assert some(Part(np.zeros((9, 1, 1)), labels)).y.tolist() == [0, 1, 0, 2, 0]


@pytest.mark.parametrize("steps", [3, MOST_VALUES + 1])
def test_what_stands_for_a_missing_value_leaves_every_metric_finite(steps: int) -> None:
    y = RNG.normal(0, 1, (30, 1)).astype(np.float32)
    x = RNG.normal(0, 1, (30, steps, 1))
    x[1::3, 0] = x[2::3, 1] = 3e38  # in the validation part, and in the test part
    data = dataset(y, x, targets=Targets(("a",), (0.0,), (1.0,)))
    for one in simple_models(data):
        for part in ("validation", "test"):
            assert np.isfinite([score(data, one, "mse", part), score(data, one, "r2", part)]).all()


def test_a_class_that_is_not_among_some_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.repeat([0, 1, 2], [150, 144, 6])
    x = RNG.normal(0, 1, (300, 3, 1)) + 4 * y[:, None, None]
    data = dataset(y, x)
    monkeypatch.setattr(
        "search.winner.simple.some", lambda part: part.take(np.flatnonzero(part.y < 2))
    )
    _, linear = simple_models(data)
    assert score(data, linear) == pytest.approx(0.98, abs=0.02)
