"""Models without a recurrent network, which a search has to beat to have been worth it."""

import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits
from torch import Tensor

from search.common.background import in_background
from trainables.batches import Batch, Placed
from trainables.datasets import Part, SequenceDataset

MOST_VALUES = 2000
"""Of a sequence that is given to a linear model value by value; longer ones are summarised."""

MOST_SEQUENCES = 20_000
"""That a linear model is fitted to, besides one of each class."""

LARGE = 1e30
"""The largest output: values that stand for missing ones, such as 1e20, may lead beyond float32."""

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Fitted:
    """A simple model, and what it answers.

    Attributes:
        name: what it is called.
        sees: what of a sequence it is given.
        validation: its outputs [sequences, outputs] on that part, in the order of
            `trainables.batches.answers`.
        test: on the test part, likewise.
    """

    name: str
    sees: str
    validation: Tensor
    test: Tensor


@contextmanager
def fitting(data: SequenceDataset) -> Iterator["Future[tuple[Fitted, ...]]"]:
    """Yield what needs no recurrent network, which is fitted beside what the block does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as good as it gets in this time
        yield in_background(lambda: simple_models(data))


def simple_models(data: SequenceDataset) -> tuple[Fitted, ...]:
    """Return what needs no recurrent network: the usual answer, and a linear model.

    Args:
        data: both are fitted to its training part.
    """
    flat = data.train.lengths is None and data.shape.steps * data.shape.inputs <= MOST_VALUES
    validation, test = (features(part, data, flat=flat)[0] for part in (data.validation, data.test))
    learned = features(some(data.train), data, flat=flat)
    usual = "the mean" if data.targets else "the most frequent class"
    sees = "every value" if flat else "mean, deviation, range, first and last value of each input"
    # Threads of a BLAS wait for each other by computing nothing: on two, the fit of 4,000 digits
    # took three times as long as on one, and networks that answer beside it had no processor left.
    with threadpool_limits(1, "blas"):
        fitted = linear(*learned, data)
    return tuple(
        Fitted(name, saw, outputs(validation), outputs(test))
        for name, saw, outputs in (
            (usual, "nothing", constant(learned[0].shape[1], data)),
            ("a linear model", sees, fitted),
        )
    )


def some(part: Part) -> Part:
    """Return a part, or as many of its sequences as are enough, evenly drawn, of every class."""
    if len(part) <= MOST_SEQUENCES:
        return part
    drawn = np.linspace(0, len(part) - 1, MOST_SEQUENCES).astype(np.int64)
    if part.y.ndim == 1:
        drawn = np.union1d(drawn, np.unique(part.y, return_index=True)[1])
    return part.take(drawn)


def features(part: Part, data: SequenceDataset, *, flat: bool) -> tuple[Tensor, Tensor]:
    """Return what a linear model sees of each sequence, and the labels in the same order."""
    placed = Placed(CPU, part, data.preparation)
    seen, labels = [], []
    for batch in placed.in_order(placed.at_once):  # long sequences are many values
        seen.append(batch.x.flatten(1) if flat else summary(batch))
        labels.append(batch.y)
    return torch.cat(seen), torch.cat(labels)


def summary(batch: Batch) -> Tensor:
    """Return mean, deviation, least, most, first and last value of each input."""
    x, lengths, _ = batch
    x = x.double()  # the square of a large float32 is none
    lengths = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
    inside = (torch.arange(x.shape[1]) < lengths[:, None])[:, :, None]
    mean = (x * inside).sum(1) / lengths[:, None]
    spread = (((x - mean[:, None]) * inside).square().sum(1) / lengths[:, None]).sqrt()
    # What is padded repeats the last step, so that it changes neither the least nor the most.
    return torch.cat((mean, spread, x.amin(1), x.amax(1), x[:, 0], x[:, -1]), dim=1).float()


@dataclass(frozen=True)
class Answers:
    """Outputs [sequences, outputs] of a linear model: ``x @ weights + bias``.

    Attributes:
        weights: [seen, outputs].
        bias: [outputs].
    """

    weights: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> "Answers":
        """Return the answers of what scikit-learn has fitted."""
        return cls(torch.tensor(weights).float(), torch.tensor(bias).float())

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs for what is seen of sequences [sequences, seen]."""
        outputs = x.double() @ self.weights.double() + self.bias
        return outputs.clamp(-LARGE, LARGE).float()


def constant(seen: int, data: SequenceDataset) -> Answers:
    """Return the model that always answers what is most usual in the training part."""
    if data.targets is not None:
        usual = torch.zeros(data.shape.outputs)
    else:
        counts = np.bincount(data.train.y, minlength=len(data.classes))
        usual = torch.tensor(np.log(np.maximum(counts, 0.5))).float()
    return Answers(torch.zeros(seen, data.shape.outputs), usual)


def linear(x: Tensor, y: Tensor, data: SequenceDataset) -> Answers:
    """Return logistic regression of classes, or ridge regression of standardised targets."""
    if data.targets is not None:
        wanted = (y - torch.tensor(data.targets.offset)) / torch.tensor(data.targets.scale)
        ridge = Ridge().fit(x.numpy(), wanted.numpy())
        return Answers.of(np.atleast_2d(ridge.coef_).T, np.atleast_1d(ridge.intercept_))
    fitted = LogisticRegression(max_iter=200).fit(x.numpy(), y.numpy())
    slopes, bias = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # of which scikit-learn keeps the logit of the second alone
        slopes, bias = np.concatenate((0 * slopes, slopes)), np.concatenate(([0.0], bias))
    # A class that is rare may be none of those that it was fitted to.
    weights, unlikely = np.zeros((x.shape[1], len(data.classes))), bias.min() - 20.0
    weights[:, fitted.classes_] = slopes.T
    every = np.full(len(data.classes), unlikely)
    every[fitted.classes_] = bias
    return Answers.of(weights, every)
