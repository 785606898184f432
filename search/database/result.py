"""What a job found: the candidates that were compared, over several seeds or one run each."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.config import Parameters
from trainables.metrics import sign_of

SURE = 0.025
"""What chance alone may do where something is called better; intervals leave it on each side."""

Interval = tuple[float, float]
"""In which the truth lies with 95 percent."""


class NotFiniteError(ValueError):
    """A number of a result is infinite, or none."""


class Gain(BaseModel):
    """How much better one configuration is than another, in the metric's units."""

    model_config = ConfigDict(frozen=True)

    value: float
    """As it was seen; positive where it is better, whichever way the metric goes."""
    low: float
    """Of the interval in which the truth lies with 95 percent."""
    high: float
    probability: float
    """That it is truly better."""


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
    weights: int | None = None
    """Of its network."""
    size_mb: float | None = None
    """Of the weights."""
    latency_ms: float | None = None
    """For one sequence, on one thread of the processor that chose it."""
    behind: Gain | None = None
    """How much better the chosen one is, on the validation part."""
    validation_interval: Interval | None = None
    """Of what it truly reaches, over all seeds and sequences like those of the validation part."""
    train: tuple[float, ...] = ()
    """The same metric on the training part, of the best epoch's weights."""
    test: tuple[float, ...] = ()
    """The same metric on the test part; filled for the chosen one and the baseline alone."""
    test_interval: Interval | None = None
    """Of what it truly reaches, likewise."""
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
    test_gain: Gain | None = None
    """Of the chosen one over it, on the test part."""


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
    lost_baseline: bool = False
    """Whether the document names a baseline, and none completed."""
    others: tuple[Candidate, ...] = ()
    """Confirmed configurations that were not chosen; their test results stay unknown."""
    level: tuple[int, ...] = ()
    """Where the best mean cannot be told from others that were found: its trial and theirs. The
    smallest network of them is chosen, unless the best is the baseline."""
    chance: float | None = None
    """How often the best of the candidates would look so much better than the baseline by chance
    alone, if none were."""
    test_gain: Gain | None = None
    """Of the chosen one over the better baseline, on the test part."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """[class, answer], test sequences as the model tells them; of classes, unless there are very
    many."""
    simple: tuple[Simple, ...] = ()
    """What needs no recurrent network, for comparison."""

    def to_json(self) -> str:
        """Return the result as a job's row has it.

        Raises:
            NotFiniteError: a number is not, so that nobody could read the row any more.
        """
        written = self.model_dump_json()
        try:
            Result.model_validate_json(written)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise NotFiniteError(f"{where} is no finite {self.metric}") from error
        return written

    @property
    def rival(self) -> Candidate | None:
        """The better baseline, None where the document has none."""
        return self.baselines[0] if self.baselines else None

    @property
    def gain(self) -> Gain | None:
        """Of the chosen one over the better baseline, on the validation part.

        None where a side has fewer than two runs.
        """
        return self.rival.behind if self.rival else None

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the chosen configuration surely beats the baseline; None without a baseline.

        Single runs are sure of nothing.
        """
        if self.rival is None:
            return False if self.lost_baseline else None
        return self.chance is not None and self.chance < SURE

    @property
    def candidates(self) -> list[Candidate]:
        """All that were compared, the chosen one first."""
        return [*self.measured, *self.others]

    @property
    def is_alone(self) -> bool:
        """Whether a baseline was chosen and no other trial came to be compared with it."""
        return self.confirmed and all(one.baseline for one in self.candidates)

    @property
    def measured(self) -> list[Candidate]:
        """The candidates whose test results may be known."""
        return [self.chosen, *(one for one in self.baselines if one.of != self.chosen.of)]

    def choosing(self, of: int) -> "Result":
        """Return the result of the same candidates with another one chosen."""
        chosen = next(one for one in self.candidates if one.of == of)
        rest = [one for one in self.candidates if not one.baseline and one.of != of]
        return self.model_copy(
            update={"chosen": chosen, "others": tuple(rest) if self.confirmed else ()}
        )

    def without(self, lost: Collection[tuple[int, int]]) -> "Result":
        """Return the result without some runs of candidates that are not chosen.

        Args:
            lost: trial that a candidate comes from, and run; one with no run left is no candidate.
        """

        def left(ones: Iterable[Candidate]) -> tuple[Candidate, ...]:
            found = []
            for one in ones:
                pairs = zip(one.runs, one.validation, strict=True)
                kept = [(run, value) for run, value in pairs if (one.of, run) not in lost]
                update = {
                    "runs": tuple(run for run, _ in kept),
                    "validation": tuple(value for _, value in kept),
                    "missing": one.missing + len(one.runs) - len(kept),
                }
                found += [one.model_copy(update=update)] if kept else []
            return tuple(found)

        baselines = left(self.baselines)
        return self.model_copy(
            update={
                "baselines": baselines,
                "others": left(self.others),
                "lost_baseline": self.lost_baseline or len(baselines) < len(self.baselines),
            }
        )

    def knowing(self, more: Mapping[int, Mapping[str, Any]]) -> "Result":
        """Return the result with more said of its candidates.

        Args:
            more: fields, by the trial that a candidate comes from.
        """

        def told(one: Candidate) -> Candidate:
            return one.model_copy(update=more.get(one.of, {}))

        return self.model_copy(
            update={
                "chosen": told(self.chosen),
                "baselines": tuple(map(told, self.baselines)),
                "others": tuple(map(told, self.others)),
            }
        )

    @property
    def champion_run(self) -> int:
        """The run whose weights become the model: the best on validation data."""
        pairs = zip(self.chosen.validation, self.chosen.runs, strict=True)
        return max(pairs, key=lambda pair: sign_of(self.direction) * pair[0])[1]

    @property
    def unbeaten(self) -> tuple[str, Literal["validation", "test"]] | None:
        """The best simple model that is as good as the chosen one, and the part on which it is.

        The test part counts where the validation part speaks for the chosen one: few sequences may
        do so for a network that is no better elsewhere. None where it is better on both.
        """
        sign = sign_of(self.direction)
        best = max(self.simple, key=lambda one: sign * one.validation, default=None)
        if best is not None and sign * best.validation >= sign * statistics.fmean(
            self.chosen.validation
        ):
            return best.name, "validation"
        best = max(self.simple, key=lambda one: sign * one.test, default=None)
        ours = self.chosen.test
        if best is not None and ours and sign * best.test >= sign * statistics.fmean(ours):
            return best.name, "test"
        return None

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
                "validation_interval": one.validation_interval,
                "weights": one.weights,
                "size_mb": one.size_mb,
                "latency_ms": one.latency_ms,
                "behind": one.behind and one.behind.model_dump(),
                "train_mean": mean(one.train),
                "test_mean": mean(one.test),
                "test_sd": sd(one.test),
                "test_interval": one.test_interval,
                "test_scores": {name: mean(values) for name, values in one.scores.items()},
            }
            for one in self.candidates
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
            "level": list(self.level),
            "gain": self.gain and self.gain.model_dump(),
            "chance": self.chance,
            "test_gain": self.test_gain and self.test_gain.model_dump(),
        }


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return statistics.fmean(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None
