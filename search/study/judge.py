"""What follows from a trial's epoch."""

import math

from search.common.trial import LiveTrial, Verdict
from search.document.spec import JobSpec
from search.study.rungs import Rungs
from trainables.metrics import sign_of

SPENT = frozenset({"hours", "target"})
"""Why a search is closed whose running trials end, too."""


class Judge:
    """The rules by which a trial ends, of which the pruner is one.

    Args:
        spec: the job document.
        rungs: the pruner, and what it compares.
        searching: whether pruner, target and hours may end trials.
    """

    def __init__(self, spec: JobSpec, rungs: Rungs, *, searching: bool) -> None:
        self.spec = spec
        self.rungs = rungs
        self.searching = searching
        self.sign = sign_of(spec.objective.direction)

    def verdict(
        self, live: LiveTrial, epoch: int, value: float, outcome: str, closed: str | None
    ) -> Verdict:
        """Return what follows from an epoch with this objective value.

        A trial whose network costs more than it may ends with its first: it cannot be chosen. A
        baseline is only compared with.

        Args:
            live: the trial.
            epoch: counted from 1.
            value: NaN where the trial diverged.
            outcome: the worker's word: running, complete or diverged.
            closed: why no further trial will start, if so.
        """
        if outcome == "diverged":
            return Verdict.DIVERGED
        over = self.is_over(live)
        if over and not live.baseline:
            return Verdict.PRUNED
        prune = self.searching and self.rungs.judge(live.number, epoch, value)
        if outcome == "complete" or (self.reaches_target(value) and not over):
            return Verdict.COMPLETE
        if closed in SPENT:
            return Verdict.BUDGET
        return Verdict.PRUNED if prune and not live.baseline else Verdict.CONTINUE

    def is_over(self, live: LiveTrial) -> bool:
        """Whether a trial's network costs more than the job allows."""
        return self.searching and self.spec.objective.is_over(live.costs or {})

    def reaches_target(self, value: float) -> bool:
        """Whether a search may end with this value."""
        target = self.spec.budget.target
        return self.searching and target is not None and self.sign * value >= self.sign * target

    def better(self, value: float, other: float) -> bool:
        """Whether ``value`` is strictly better than ``other``."""
        return self.sign * value > self.sign * other

    def best(self, known: float | None, value: float | None) -> float | None:
        """Return the better of two values, the known one of equals; None and NaN are none."""
        if value is None or math.isnan(value):
            return known
        return value if known is None or self.better(value, known) else known
