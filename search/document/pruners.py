"""The pruners that a job may name, and their options. A step is an epoch, the first being 1."""


# ruff: noqa: ARG002 - each one looks at what it needs

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from search.common.faults import Section

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

    from search.document.spec import JobSpec


class PrunerOptions(Section):
    """What all pruners share."""

    name: str

    def refusals(self, epochs: int, trials: int) -> Iterator[str]:
        """Yield why this pruner makes no sense for so many trials of at most so many epochs."""
        yield from ()

    def build(self, epochs: int) -> "BasePruner":
        """Return Optuna's pruner for trials of at most so many epochs."""
        raise NotImplementedError

    def endings(self, epochs: int) -> Iterator[tuple[int, float]]:
        """Yield epochs below so many, and what part of the trials there is known to end there."""
        yield from ()

    def options(self) -> dict[str, Any]:
        """Return the options alone, as Optuna calls them."""
        return self.model_dump(exclude={"name"})


class SuccessiveHalving(PrunerOptions):
    """Asynchronous successive halving (Li et al. 2020): at each rung the best part goes on."""

    name: Literal["successive-halving"] = Field("successive-halving", description="the pruner")
    min_resource: int | None = Field(
        None,
        ge=1,
        description="epoch of the first rung; null: half of the most epochs a trial may have",
    )
    reduction_factor: int = Field(
        2, ge=2, le=1000, description="one of so many goes on, to a rung so many times later"
    )
    min_early_stopping_rate: int = Field(
        0, ge=0, le=20, description="rungs left out at the beginning"
    )
    bootstrap_count: int = Field(
        0, ge=0, description="trials that end at a rung before any goes on from it"
    )

    def refusals(self, epochs: int, trials: int) -> Iterator[str]:
        """Yield the faults of a first rung that no trial reaches, or that none goes on from."""
        first = self.first(epochs)
        yield from too_few(self.name, self.bootstrap_count, trials)
        if first > epochs:
            yield f"successive-halving must start within {epochs} epochs, but got epoch {first}"

    def least(self, epochs: int) -> int:
        """Return the least epochs that tell trials of so many apart.

        With a learning rate that rises and falls, the first ones tell who learns fast, not who
        comes far: `benchmarks/search_quality.py` shows what that costs.
        """
        return self.min_resource or -(-epochs // 2)

    def first(self, epochs: int) -> int:
        """Return the epoch of the first rung."""
        return self.least(epochs) * int(self.reduction_factor**self.min_early_stopping_rate)

    def build(self, epochs: int) -> "BasePruner":
        """Return a pruner that decides as Optuna's SuccessiveHalvingPruner."""
        from search.document.halving import OrderedHalving

        return OrderedHalving(**self.options() | {"min_resource": self.least(epochs)})

    def endings(self, epochs: int) -> Iterator[tuple[int, float]]:
        """Yield the rungs, at which one of `reduction_factor` goes on."""
        rung = self.first(epochs)
        while rung < epochs:
            yield rung, 1 - 1 / self.reduction_factor
            rung *= self.reduction_factor


class Hyperband(PrunerOptions):
    """Successive halving with several first rungs side by side (Li et al. 2018)."""

    name: Literal["hyperband"] = Field("hyperband", description="the pruner")
    min_resource: int = Field(1, ge=1, description="epoch of the earliest rung")
    max_resource: int | None = Field(
        None, ge=1, description="epoch of the last rung; null: the most epochs a trial may have"
    )
    reduction_factor: int = Field(3, ge=2, le=1000, description="one of so many goes on at a rung")
    bootstrap_count: int = Field(
        0, ge=0, description="trials that end at a rung before any goes on from it"
    )

    def refusals(self, epochs: int, trials: int) -> Iterator[str]:
        """Yield the faults of a last rung before the first, and of one that none goes on from."""
        last = self.max_resource or epochs
        yield from too_few(self.name, self.bootstrap_count, trials)
        if self.min_resource > last:
            yield (
                "hyperband must have min_resource <= max_resource, "
                f"but got min_resource={self.min_resource}, max_resource={last}"
            )

    def build(self, epochs: int) -> "BasePruner":
        """Return Optuna's HyperbandPruner."""
        from optuna.pruners import HyperbandPruner

        last = self.max_resource or epochs
        return HyperbandPruner(**self.options() | {"max_resource": last})


class Median(PrunerOptions):
    """Ends a trial whose best value is worse than the median of others at the same epoch."""

    name: Literal["median"] = Field("median", description="the pruner")
    n_startup_trials: int = Field(5, ge=0, description="trials that end before it prunes")
    n_warmup_steps: int = Field(0, ge=0, description="epochs before this one are left alone")
    interval_steps: int = Field(1, ge=1, description="epochs from one look to the next")
    n_min_trials: int = Field(1, ge=1, description="trials with this epoch before it prunes there")

    def refusals(self, epochs: int, trials: int) -> Iterator[str]:
        """Yield the fault of a warm-up that lasts as long as the trials."""
        if self.n_warmup_steps >= epochs:
            got = self.n_warmup_steps
            yield f"median must have n_warmup_steps below the {epochs} epochs, but got {got}"

    def build(self, epochs: int) -> "BasePruner":
        """Return Optuna's MedianPruner."""
        from optuna.pruners import MedianPruner

        return MedianPruner(**self.options())


class Patient(PrunerOptions):
    """Ends a trial that is getting worse, whatever others do."""

    name: Literal["patient"] = Field("patient", description="the pruner")
    patience: int = Field(
        2, ge=0, description="epochs below its earlier best that a trial may have, after a first"
    )
    min_delta: float = Field(0.0, ge=0.0, description="how far below still counts as no worse")

    def refusals(self, epochs: int, trials: int) -> Iterator[str]:
        """Yield the fault of more patience than a trial is long; two epochs must be left."""
        if self.patience > epochs - 2:
            got = self.patience
            yield f"patient must have patience <= {epochs - 2} for {epochs} epochs, but got {got}"

    def build(self, epochs: int) -> "BasePruner":
        """Return Optuna's PatientPruner with nothing wrapped in it."""
        from optuna.pruners import PatientPruner

        return PatientPruner(None, **self.options())


class NoPruner(PrunerOptions):
    """Every trial runs to its end."""

    name: Literal["none"] = Field("none", description="the pruner")

    def build(self, epochs: int) -> "BasePruner":
        """Return Optuna's NopPruner."""
        from optuna.pruners import NopPruner

        return NopPruner()


AnyPruner = Annotated[
    SuccessiveHalving | Hyperband | Median | Patient | NoPruner, Field(discriminator="name")
]
PRUNERS: dict[str, type[PrunerOptions]] = {
    model.model_fields["name"].default: model
    for model in (SuccessiveHalving, Hyperband, Median, Patient, NoPruner)
}
"""The options of every pruner, by the name that documents use."""


def too_few(name: str, bootstrap_count: int, trials: int) -> Iterator[str]:
    """Yield the fault of a rung that ends every trial."""
    if bootstrap_count >= trials:
        got = bootstrap_count
        yield f"{name} must have bootstrap_count below the {trials} trials, but got {got}"


def make_pruner(spec: "JobSpec") -> "BasePruner":
    """Return the job's pruner."""
    with warnings.catch_warnings():
        from optuna.exceptions import ExperimentalWarning

        # Chosen with care: what "experimental" says is that signatures may still change.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return spec.pruner.build(spec.most_epochs)
