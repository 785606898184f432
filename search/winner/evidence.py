"""How sure a result is: what configurations may truly reach, by their seeds and sequences."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.common.background import threads
from search.database.result import SURE, Gain
from trainables.goals import Goal
from trainables.metrics import COUNTED

DRAWS = 4000

RANKED_DRAWS = 1000
"""Of a metric of ranks, each of which takes a pass over every class."""

AT_ONCE = 2**20
"""Weights that are drawn at once; bounds memory."""

MOST_AT_ONCE = 4
"""Runs that are scored beside each other: each has several times as many numbers as weights."""

EXTREME = 1000.0
"""A logit beside which all others make no difference."""

APART = 0.84
"""How probable it is that one is better that is a standard error better."""


@dataclass(frozen=True)
class Truths:
    """Draws of what each of some configurations truly reaches: over all seeds, on all sequences.

    Attributes:
        metric: its name, such as ``accuracy``.
        sign: what a value is multiplied with so that more is better.
        seen: [configurations], the means of their runs.
        draws: [configurations, draws], on the same sequences; NaN for one with a single run, and
            for all where a single sequence says nothing of others.
    """

    metric: str
    sign: float
    seen: NDArray[np.float64]
    draws: NDArray[np.float64]

    def interval(self, one: int) -> tuple[float, float] | None:
        """Return where the truth of a configuration lies, with 95 percent; None if not known."""
        if np.isnan(self.draws[one]).any():
            return None
        low, high = np.quantile(self.draws[one], (SURE, 1 - SURE))
        least, most = LIMITS.get(self.metric, (0.0, 1.0))
        return float(max(low, least)), float(min(high, most))

    def gain(self, one: int, other: int) -> Gain | None:
        """Return how much better one is than another; None if not known."""
        draws = self.gains(one, other)
        if np.isnan(draws).any():
            return None
        low, high = np.quantile(draws, (SURE, 1 - SURE))
        return Gain(
            value=self.sign * float(self.seen[one] - self.seen[other]),
            low=float(low),
            high=float(high),
            # Draws that are equal, as of the same answers, speak for neither.
            probability=float(((draws > 0).mean() + (draws >= 0).mean()) / 2),
        )

    def chance(self, best: int, other: int, tried: Sequence[int]) -> float:
        """Return how often the best of several would look so much better if none were.

        The greatest gain of all that were tried, each in its own standard errors (Westfall and
        Young's max-T); of a single one it is one minus the probability of being better.

        Args:
            best: which of them has won.
            other: what they are held against.
            tried: all of them.
        """
        reached = self.standardised(best, other)[1]
        noise = [self.standardised(one, other)[0] for one in tried]
        return float((np.max(noise, axis=0) >= reached).mean())

    def level(self, best: int, other: int) -> bool:
        """Whether the best cannot be told from another: it is less than a standard error better."""
        gain = self.gain(best, other)
        return gain is not None and gain.probability < APART

    def below(self, one: int, others: Sequence[int]) -> bool:
        """Whether a configuration's mean is worse than that of one of some others."""
        return any(self.sign * (self.seen[one] - self.seen[other]) < 0 for other in others)

    def gains(self, one: int, other: int) -> NDArray[np.float64]:
        """Return draws of how much better one is than another."""
        drawn: NDArray[np.float64] = self.sign * (self.draws[one] - self.draws[other])
        return drawn

    def standardised(self, one: int, other: int) -> tuple[NDArray[np.float64], float]:
        """Return the noise of a gain in its standard errors, and the gain that was seen in them."""
        drawn = self.gains(one, other)
        value = self.sign * (self.seen[one] - self.seen[other])
        low, high = np.quantile(drawn, (1 - APART, APART))
        error = (high - low) / 2
        if error == 0:  # as of the same answers
            return np.zeros_like(drawn), math.copysign(math.inf, value) if value else 0.0
        # What chance would add is as far above nothing as the truth may be below what was seen.
        return (value - drawn) / error, float(value / error)


LIMITS = {"loss": (0.0, np.inf), "mse": (0.0, np.inf), "mae": (0.0, np.inf), "r2": (-np.inf, 1.0)}
"""What values a metric can have, where it is not a part of one."""


def truths(goal: Goal, metric: str, y: Tensor, answers: Sequence[Tensor], *, sign: float) -> Truths:
    """Draw what configurations truly reach, by a Bayesian bootstrap on two levels.

    Sequences: each one counts by a weight that is exponential (Rubin 1981), the same for all
    configurations; where a metric only knows right and wrong, a right and a wrong answer that
    nobody gave count by Jeffreys' half between them, lest all right means always right; of other
    metrics, the draws are as much wider as `widths` says. Seeds:
    the mean of a few of them is as far from that of all as Student's t says; to draw them with
    replacement would make intervals from three seeds far too short (`benchmarks/honesty.py`).

    Args:
        goal: what the outputs are held against.
        metric: of the goal's.
        y: the part's labels.
        answers: of each configuration, the outputs [runs, sequences, outputs] of its runs.
        sign: 1 where more of the metric is better, else -1.
    """
    from scipy import stats

    random = np.random.default_rng(0)
    once = torch.ones(1, len(y), dtype=torch.float64)
    runs = [
        np.array([float(goal.weighted(metric, one, y, once)) for one in outputs])
        for outputs in answers
    ]
    count = RANKED_DRAWS if metric == "auroc" else DRAWS
    drawn = [np.empty((len(outputs), count)) for outputs in answers]
    step = max(1, AT_ONCE // len(y))
    with threads(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        for begin in range(0, count, step):
            here = slice(begin, min(begin + step, count))
            weights = torch.from_numpy(random.exponential(size=(here.stop - begin, len(y))))
            for place, outputs in enumerate(answers):
                found = Padded(goal, metric, y, weights, random)
                drawn[place][:, here] = list(pool.map(found.score, outputs))
    if metric not in COUNTED:
        # The same ones for all configurations, whose sequences are the same.
        wide = widths(len(y), count, random)
        for values, each in zip(runs, drawn, strict=True):
            each[:] = values[:, None] + (each - values[:, None]) * wide
    for values, each in zip(runs, drawn, strict=True):
        free = len(values) - 1
        if free == 0:
            each[:] = np.nan
            continue
        # Runs differ by their seeds, and by luck with single sequences, which is drawn already.
        luck = (each - each.mean(0)).var(1).sum() / free
        # A few runs know little of either: their seeds always keep half of what was seen.
        spread = values.var(ddof=1)
        error = np.sqrt(max(spread - luck, spread / 2) / len(values))
        np.add(each, error * stats.t.rvs(free, size=count, random_state=random), out=each)
    return Truths(
        metric,
        sign,
        np.array([values.mean() for values in runs]),
        np.array([each.mean(0) for each in drawn]),
    )


def widths(sequences: int, count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return draws of how much farther off a metric truly is than weights of its sequences say.

    Such weights make (n - 1) / (n + 1) of the variance that n values tell of, and few values tell
    little of their variance: what is normal about the mean is Student's t once a chi-square is
    drawn for that (Gosset 1908; as a scale mixture, Andrews and Mallows 1974).

    Args:
        sequences: a single one tells nothing: NaN.
        count: of the draws.
        random: draws them.
    """
    if sequences == 1:
        return np.full(count, np.nan)
    return np.sqrt((sequences + 1) / random.chisquare(sequences - 1, count))


class Padded:
    """Weighted sequences, and among them the answers that nobody gave, where a metric needs them.

    Args:
        goal: what outputs are held against.
        metric: of the goal's.
        y: the part's labels.
        weights: [draws, sequences].
        random: draws the weights of what is added.
    """

    def __init__(
        self, goal: Goal, metric: str, y: Tensor, weights: Tensor, random: np.random.Generator
    ) -> None:
        self.goal = goal
        self.metric = metric
        self.y = y
        self.weights = weights
        self.known = torch.unique(y) if metric in COUNTED else None
        if self.known is not None:
            size = (len(weights), 2 * len(self.known))
            added = random.gamma(0.5 / len(self.known), size=size)
            self.weights = torch.cat((weights, torch.from_numpy(added)), 1)
            self.y = torch.cat((y, self.known, self.known))

    def score(self, outputs: Tensor) -> NDArray[np.float64]:
        """Return the metric [draws] of a run's outputs [sequences, outputs]."""
        if self.known is not None:
            right = torch.nn.functional.one_hot(self.known, outputs.shape[1]).to(outputs.dtype)
            outputs = torch.cat((outputs, EXTREME * right, EXTREME * right.roll(1, 1)))
        scored: NDArray[np.float64] = self.goal.weighted(
            self.metric, outputs, self.y, self.weights
        ).numpy()
        return scored
