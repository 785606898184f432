"""What a network learns to answer, classes or numbers: its loss, and how well it answers."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.metrics import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    from trainables.datasets import SequenceDataset


class Goal(ABC):
    """What outputs [sequences, outputs] of a network are held against."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of a batch, of which the gradient is taken."""

    @abstractmethod
    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how many of a batch are answered correctly, 0 where none can be."""

    @abstractmethod
    def scores(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss and metrics of all sequences of a part.

        Args:
            outputs: [sequences, outputs] of the network, float32.
            y: the part's labels.
        """


class Classes(Goal):
    """Logits of classes, y [sequences] int64.

    Args:
        weights: [classes], what an error on each of them costs in training; None for the same.
    """

    def __init__(self, weights: Tensor | None = None) -> None:
        self.weights = weights

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross entropy."""
        return nn.functional.cross_entropy(outputs, y, self.weights)

    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how many have their class as the largest logit."""
        return (outputs.detach().argmax(1) == y).sum()

    def scores(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss, accuracy, balanced_accuracy, macro_f1 and auroc.

        Means over classes leave out those of which there is no sequence. The area under the ROC
        curve is the mean of each class against the rest, ties counted half; 0.5 where there is no
        rest.
        """
        count, classes = outputs.shape
        losses = nn.functional.cross_entropy(outputs, y, reduction="none")
        answers = outputs.argmax(1)
        hit = torch.bincount(y[answers == y], minlength=classes).double()
        there = torch.bincount(y, minlength=classes).double()
        answered = torch.bincount(answers, minlength=classes).double()
        known = there > 0
        found = (
            losses.double().sum() / count,
            hit.sum() / count,
            (hit / there)[known].mean(),
            (2 * hit / (there + answered))[known].mean(),
            areas(outputs, y)[known].nanmean().nan_to_num(0.5),
        )
        return dict(zip(CLASSIFICATION, torch.stack(found).tolist(), strict=True))


class Numbers(Goal):
    """Numbers, which the network answers with mean 0 and deviation 1; y [sequences, targets].

    Args:
        offset: [targets], their means in the training part.
        scale: [targets], their deviations there.
    """

    def __init__(self, offset: Tensor, scale: Tensor) -> None:
        self.offset = offset
        self.scale = scale

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error of standardised targets."""
        return nn.functional.mse_loss(outputs, (y - self.offset) / self.scale)

    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 - as for classes
        """Return 0."""
        return torch.zeros((), device=outputs.device)

    def scores(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss, of standardised targets, and mse, mae and r2, in the targets' own units.

        Means over the targets; r2 of one that never changes is 1 where it is met, else 0.
        """
        wanted, offset, scale = y.double(), self.offset.double(), self.scale.double()
        answers = outputs.double() * scale + offset
        squares = (answers - wanted).square().mean(0)
        spread = (wanted - wanted.mean(0)).square().mean(0)
        explained = torch.where(spread > 0, 1 - squares / spread, (squares == 0).double()).mean()
        found = (
            (squares / scale.square()).mean(),
            squares.mean(),
            (answers - wanted).abs().mean(),
            explained,
        )
        return dict(zip(REGRESSION, torch.stack(found).tolist(), strict=True))


def areas(outputs: Tensor, y: Tensor) -> Tensor:
    """Return each class's area under the ROC curve [classes], NaN where it or the rest is empty.

    By the ranks of the probabilities (Mann and Whitney): equal ones share their mean rank.
    """
    probabilities = outputs.double().softmax(1)
    columns = []
    for place, column in enumerate(probabilities.T):
        values, inverse, counts = column.unique(return_inverse=True, return_counts=True)
        del values
        last = counts.cumsum(0).double()
        rank = (last - (counts - 1) / 2)[inverse]
        ours = y == place
        positive = ours.sum().double()
        negative = len(y) - positive
        above = rank[ours].sum() - positive * (positive + 1) / 2
        columns.append(above / (positive * negative))
    return torch.stack(columns)


def goal_of(data: "SequenceDataset", class_weights: str, device: torch.device) -> Goal:
    """Return what networks for a data set learn.

    Args:
        data: its training part says how often each class is there.
        class_weights: ``none``, or ``balanced`` for the inverse of that, 1 in the mean over the
            training sequences.
        device: where outputs are.
    """
    if data.targets is not None:
        return Numbers(
            torch.tensor(data.targets.offset, device=device),
            torch.tensor(data.targets.scale, device=device),
        )
    if class_weights == "none":
        return Classes()
    there = torch.bincount(torch.tensor(data.train.y), minlength=len(data.classes)).double()
    return Classes((there.sum() / (len(there) * there)).float().to(device))
