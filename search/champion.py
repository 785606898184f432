"""The winner: confirmed over several seeds, compared with the baseline, saved for people."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from search.cost import Cost, Sizes
from search.sections import sign_of
from search.seeding import derive_seed
from search.spec import JobSpec
from search.trial import Proposal
from trainables.config import Parameters

TYPICAL = Sizes(train=4000, validation=1000, steps=28, features=28, classes=10)
"""Sizes of data that tell dear configurations from cheap ones: which is which hardly depends on
them, and whoever reads a job, with its data or without, has to come to the same order."""


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


def by_value(trials: Iterable[FrozenTrial], direction: str) -> list[FrozenTrial]:
    """Return the complete trials, best first; ties keep the earlier one first."""
    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    return sorted(complete, key=lambda t: (-sign_of(direction) * (t.value or 0.0), t.number))


def parameters_of(trial: FrozenTrial) -> Parameters:
    """Return what a trial was given beyond the job's training settings."""
    return {**trial.params, **trial.user_attrs.get("overrides", {})}


def finalists(trials: Sequence[FrozenTrial], spec: JobSpec) -> list[FrozenTrial]:
    """Return the trials to confirm: the best `confirm.top` found, then the better baseline."""
    ranked = by_value(trials, spec.objective.direction)
    found = [t for t in ranked if "baseline" not in t.user_attrs][: spec.confirm.top]
    return found + [t for t in ranked if "baseline" in t.user_attrs][:1]


def replicates(trials: Sequence[FrozenTrial], spec: JobSpec) -> list[Proposal]:
    """Return the confirmation's trials, every finalist with the same fresh seeds.

    Those that take longest come first, so that none of them runs on alone at the end.
    """
    longest = sorted(finalists(trials, spec), key=lambda trial: -seconds(trial, spec))
    return [
        Proposal(
            parameters=trial.params,
            overrides=trial.user_attrs.get("overrides", {}),
            seed=derive_seed(spec.seed, "confirm", replicate),
            attrs={"replicate": replicate, "of": trial.number}
            | ({"baseline": True} if "baseline" in trial.user_attrs else {}),
        )
        for trial in longest
        for replicate in range(spec.confirm.seeds)
    ]


def seconds(trial: FrozenTrial, spec: JobSpec) -> float:
    """Return how long a trial takes from its first epoch to its last, on typical data."""
    cost, config = Cost(TYPICAL), spec.config(trial.params, trial.user_attrs.get("overrides", {}))
    return config.epochs * cost.seconds(cost.work(config))


def candidate(trial: FrozenTrial, runs: Sequence[FrozenTrial]) -> Candidate:
    """Return a finalist with those of its runs that completed."""
    complete = [run for run in runs if run.state is TrialState.COMPLETE]
    return Candidate(
        of=trial.number,
        parameters=parameters_of(trial),
        baseline="baseline" in trial.user_attrs,
        runs=tuple(run.number for run in complete),
        validation=tuple(run.value for run in complete if run.value is not None),
        missing=len(runs) - len(complete),
    )


def choose(
    spec: JobSpec, job_id: str, searched: Sequence[FrozenTrial], confirmed: Sequence[FrozenTrial]
) -> Result | None:
    """Return the result of a job from validation values alone, or None if no trial completed.

    A configuration that lost a replicate (diverged, failed) is chosen only if all did.
    """
    sign = sign_of(spec.objective.direction)

    def rank(one: Candidate) -> tuple[int, float, int]:
        return (one.missing, -sign * statistics.fmean(one.validation), one.of)

    if confirmed:
        finals = [
            candidate(trial, [run for run in confirmed if run.user_attrs["of"] == trial.number])
            for trial in finalists(searched, spec)
        ]
        candidates = sorted((one for one in finals if one.validation), key=rank)
    else:
        candidates = [candidate(t, [t]) for t in by_value(searched, spec.objective.direction)]
    if not candidates:
        return None
    chosen, *rest = candidates
    return Result(
        metric=spec.objective.metric,
        direction=spec.objective.direction,
        study=f"{job_id}/confirm" if confirmed else job_id,
        confirmed=bool(confirmed),
        chosen=chosen,
        baselines=tuple(one for one in candidates if one.baseline),
        others=tuple(one for one in rest if not one.baseline) if confirmed else (),
    )
