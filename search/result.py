"""What a job found: the candidates that were compared, over several seeds or one run each."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from trainables.config import Parameters


def sign_of(direction: str) -> float:
    """Return what a value has to be multiplied with so that more is better."""
    return 1.0 if direction == "maximize" else -1.0


class Candidate(BaseModel):
    """A configuration with its finished runs, one a seed."""

    model_config = ConfigDict(frozen=True)

    of: int
    """Number of the search's trial that it comes from."""
    parameters: Parameters
    """What it was given beyond the job's training settings."""
    baseline: bool
    runs: tuple[int, ...]
    """Numbers of the trials whose weights these are."""
    validation: tuple[float, ...]
    """Objective on the validation part, one a run."""
    missing: int = 0
    """Replicates that did not complete."""
    train: tuple[float, ...] = ()
    """The same metric on the training part, of the best epoch's weights."""
    test: tuple[float, ...] = ()
    """The same metric on the test part; filled for the chosen one and the baseline alone."""
    scores: dict[str, tuple[float, ...]] = {}
    """Every metric on the test part, filled likewise."""


class Simple(BaseModel):
    """A model without a recurrent network, on the same data."""

    model_config = ConfigDict(frozen=True)

    name: str
    sees: str
    """What of a sequence it is given."""
    validation: float
    """Objective on the validation part."""
    test: float
    """The same metric on the test part."""
    scores: dict[str, float]
    """Every metric on the test part."""


class Result(BaseModel):
    """What a job found: the chosen configuration and the baseline that it was compared with."""

    model_config = ConfigDict(frozen=True)

    metric: str
    direction: Literal["maximize", "minimize"]
    study: str
    """Study that holds the runs: the search's own without a confirmation."""
    confirmed: bool
    chosen: Candidate
    baselines: tuple[Candidate, ...]
    """After a confirmation the better baseline alone; without one, all of the document, best
    first. The chosen one is among them where a baseline won."""
    others: tuple[Candidate, ...] = ()
    """Confirmed configurations that were not chosen; their test results stay unknown."""
    simple: tuple[Simple, ...] = ()
    """What needs no recurrent network, for comparison."""

    @property
    def rival(self) -> Candidate | None:
        """The better baseline, None where the document has none."""
        return self.baselines[0] if self.baselines else None

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the chosen configuration beats the baseline; None without a baseline."""
        if self.rival is None:
            return None
        if self.chosen.of == self.rival.of:
            return False
        return beats(self.chosen.validation, self.rival.validation, self.direction)

    @property
    def measured(self) -> list[Candidate]:
        """The candidates whose test results may be known."""
        return [self.chosen, *(one for one in self.baselines if one.of != self.chosen.of)]

    @property
    def champion_run(self) -> int:
        """The run whose weights become the model: the best on validation data."""
        pairs = zip(self.chosen.validation, self.chosen.runs, strict=True)
        return max(pairs, key=lambda pair: sign_of(self.direction) * pair[0])[1]

    @property
    def unbeaten(self) -> Simple | None:
        """The best simple model, if it is as good as the chosen one on the validation part."""
        sign = sign_of(self.direction)
        best = max(self.simple, key=lambda one: sign * one.validation, default=None)
        ours = sign * statistics.fmean(self.chosen.validation)
        return best if best is not None and sign * best.validation >= ours else None

    def compared(self) -> list[dict[str, Any]]:
        """Return every candidate with its means, the chosen one first; unknown ones are null."""
        return [
            {
                "trial": one.of,
                "params": one.parameters,
                "baseline": one.baseline,
                "chosen": one.of == self.chosen.of,
                "seeds": len(one.runs),
                "validation_mean": mean(one.validation),
                "validation_sd": sd(one.validation),
                "train_mean": mean(one.train),
                "test_mean": mean(one.test),
                "test_sd": sd(one.test),
                "test_scores": {name: mean(values) for name, values in one.scores.items()},
            }
            for one in (*self.measured, *self.others)
        ]

    def summary(self) -> dict[str, Any]:
        """Return the confirmation as `show` prints it."""
        chosen, rival = self.chosen, self.rival
        return {
            "params": chosen.parameters,
            "metric": self.metric,
            "seeds": len(chosen.runs),
            "validation_mean": mean(chosen.validation),
            "validation_sd": sd(chosen.validation),
            "test_mean": mean(chosen.test),
            "test_sd": sd(chosen.test),
            "baseline_params": rival.parameters if rival else None,
            "baseline_validation_mean": mean(rival.validation) if rival else None,
            "baseline_validation_sd": sd(rival.validation) if rival else None,
            "baseline_test_mean": mean(rival.test) if rival else None,
            "baseline_test_sd": sd(rival.test) if rival else None,
            "beats_baseline": self.beats_baseline,
        }


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return statistics.fmean(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def beats(values: Sequence[float], others: Sequence[float], direction: str) -> bool:
    """Whether the mean of ``values`` is better by more than the standard error of the difference.

    With a single run on a side nothing is known about noise, and the bare difference decides.
    """
    gain = sign_of(direction) * (statistics.fmean(values) - statistics.fmean(others))
    if len(values) < 2 or len(others) < 2:
        return gain > 0
    error = math.sqrt(
        statistics.variance(values) / len(values) + statistics.variance(others) / len(others)
    )
    return gain > error
