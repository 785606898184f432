"""What a network learns to answer, classes or numbers: its loss, and how well it answers."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.metrics import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    from trainables.datasets import SequenceDataset, Targets


class Goal(ABC):
    """What outputs [sequences, outputs] of a network are held against."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of a batch."""

    def learned(self, outputs: Tensor, y: Tensor, loss: Tensor) -> Tensor:  # noqa: ARG002
        """Return that of which a batch's gradient is taken, which may be its loss."""
        return loss

    @abstractmethod
    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how many of a batch are answered correctly, 0 where none can be."""

    @abstractmethod
    def weighted(self, metric: str, outputs: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Return a metric [draws] as if each sequence of a part were there so many times.

        Args:
            metric: of `names`.
            outputs: [sequences, outputs] of the network, float32.
            y: the part's labels.
            weights: [draws, sequences] float64, above 0.
        """

    names: ClassVar[tuple[str, ...]]
    """The metrics."""

    def scores(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return loss and metrics of all sequences of a part.

        Args:
            outputs: [sequences, outputs] of the network, float32.
            y: the part's labels.
        """
        once = torch.ones(1, len(y), dtype=torch.float64, device=outputs.device)
        found = [self.weighted(name, outputs, y, once) for name in self.names]
        return dict(zip(self.names, torch.cat(found).tolist(), strict=True))


class Classes(Goal):
    """Logits of classes, y [sequences] int64.

    Args:
        weights: [classes], what an error on each of them costs in training; None for the same.
        smoothing: what part of a label all classes share in training.
    """

    names = CLASSIFICATION

    def __init__(self, weights: Tensor | None = None, smoothing: float = 0.0) -> None:
        self.weights = weights
        self.smoothing = smoothing

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross entropy, each sequence's times its class's weight.

        PyTorch's own mean divides by a batch's weights, so that in small ones rare classes would
        count as little as all others; of weights whose mean over the data is 1 the plain mean is.
        """
        if self.weights is None:
            return nn.functional.cross_entropy(outputs, y)
        return nn.functional.cross_entropy(outputs, y, self.weights, reduction="none").mean()

    def learned(self, outputs: Tensor, y: Tensor, loss: Tensor) -> Tensor:
        """Return the mean cross entropy with smoothed labels.

        A sequence weighs as much as its class. PyTorch's own mean gives each class's share in a
        smoothed label that class's weight, by which rare classes would push out all others.
        """
        if not self.smoothing:
            return loss
        if self.weights is None:
            return nn.functional.cross_entropy(outputs, y, label_smoothing=self.smoothing)
        losses = nn.functional.cross_entropy(
            outputs, y, reduction="none", label_smoothing=self.smoothing
        )
        return (losses * self.weights[y]).mean()

    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how many have their class as the largest logit."""
        return (outputs.detach().argmax(1) == y).sum()

    def weighted(self, metric: str, outputs: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Return loss, accuracy, balanced_accuracy, macro_f1 or auroc [draws].

        Means over classes leave out those of which there is no sequence. The area under the ROC
        curve is the mean of each class against the rest, ties counted half; 0.5 where there is no
        rest.
        """
        if metric == "loss":
            losses = nn.functional.cross_entropy(outputs, y, reduction="none")
            return weights @ losses.double() / weights.sum(1)
        if metric == "auroc":
            return areas(outputs, y, weights).nanmean(1).nan_to_num(0.5)
        answers = outputs.argmax(1)
        right = answers == y
        if metric == "accuracy":
            return weights @ right.double() / weights.sum(1)
        classes = outputs.shape[1]
        there = of_each(y, weights, classes)
        hit = of_each(y, weights * right, classes)
        if metric == "balanced_accuracy":
            return (hit / there).nanmean(1)
        answered = of_each(answers, weights, classes)
        return torch.where(there > 0, 2 * hit / (there + answered), torch.nan).nanmean(1)


class Numbers(Goal):
    """Numbers, which the network answers with mean 0 and deviation 1; y [sequences, targets].

    Args:
        offset: [targets], their means in the training part.
        scale: [targets], their deviations there.
    """

    names = REGRESSION

    def __init__(self, offset: Tensor, scale: Tensor) -> None:
        self.offset = offset
        self.scale = scale

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error of standardised targets."""
        return nn.functional.mse_loss(outputs, (y - self.offset) / self.scale)

    def counted(self, outputs: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 - as for classes
        """Return 0."""
        return torch.zeros((), device=outputs.device)

    def weighted(self, metric: str, outputs: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Return loss, of standardised targets, or mse, mae, r2, in the targets' own units [draws].

        Means over the targets; r2 of one that never changes is 1 where it is met, else 0.
        """
        wanted, offset, scale = y.double(), self.offset.double(), self.scale.double()
        answers = outputs.double() * scale + offset
        shares = weights / weights.sum(1, keepdim=True)
        if metric == "mae":
            return (shares @ (answers - wanted).abs()).mean(1)
        squares = shares @ (answers - wanted).square()
        if metric == "loss":
            return (squares / scale.square()).mean(1)
        if metric == "mse":
            return squares.mean(1)
        # Of all the same a weighted mean may differ by rounding, their extremes do not.
        varies = wanted.amax(0) > wanted.amin(0)
        spread = shares @ (wanted - wanted.mean(0)).square()
        spread = spread - (shares @ (wanted - wanted.mean(0))).square()
        return torch.where(varies, 1 - squares / spread, (squares == 0).double()).mean(1)


def of_each(place: Tensor, weights: Tensor, count: int) -> Tensor:
    """Return the sums [draws, count] of the weights [draws, sequences] at each place."""
    sums = torch.zeros(len(weights), count, dtype=weights.dtype, device=weights.device)
    return sums.index_add_(1, place, weights)


def areas(outputs: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return each class's area under the ROC curve [draws, classes].

    What part of the pairs of one inside and one outside are in order (Mann and Whitney), equal
    ones counted half; NaN where there is no pair.
    """
    columns = []
    for place, column in enumerate(outputs.double().softmax(1).T):
        inside, outside = (y == place).nonzero()[:, 0], (y != place).nonzero()[:, 0]
        outside = outside[column[outside].argsort()]
        # What lies outside, up to each of them.
        upto = nn.functional.pad(weights[:, outside].cumsum(1), (1, 0))
        below, within = (
            upto[:, torch.searchsorted(column[outside], column[inside], right=right)]
            for right in (False, True)
        )
        weight = weights[:, inside]
        pairs = weight.sum(1) * upto[:, -1]
        columns.append((weight * (below + within) / 2).sum(1) / pairs)
    return torch.stack(columns, 1)


def goal_of(data: "SequenceDataset", config: TrialConfig, device: torch.device) -> Goal:
    """Return what networks for a data set learn.

    Args:
        data: its training part says how often each class is there, of which balanced weights are
            the inverse, 1 in the mean over the training sequences.
        config: class_weights and label_smoothing are read.
        device: where outputs are.
    """
    if data.targets is not None:
        return plain_goal(data.targets, device)
    if config.class_weights == "none":
        return Classes(smoothing=config.label_smoothing)
    there = torch.bincount(torch.tensor(data.train.y), minlength=len(data.classes)).double()
    weights = (there.sum() / (len(there) * there)).float().to(device)
    return Classes(weights, config.label_smoothing)


def plain_goal(targets: "Targets | None", device: torch.device) -> Goal:
    """Return what networks are held against: numbers, or classes that all count the same."""
    if targets is None:
        return Classes()
    return Numbers(
        torch.tensor(targets.offset, device=device), torch.tensor(targets.scale, device=device)
    )
