"""The samplers that a job may name, their options, and what each cannot do."""


# ruff: noqa: ARG002 - each one looks at what it needs

import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from search.common.faults import Section
from search.document.parameters import Choices
from search.document.seeding import derive_seed
from search.document.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from search.document.spec import JobSpec


class SamplerOptions(Section):
    """What all samplers share."""

    learns: ClassVar[bool] = True
    """Whether draws follow from how earlier trials went."""
    looks_back: ClassVar[bool] = True
    """Whether it learns from trials that it did not draw, too."""
    several: ClassVar[bool] = True
    """Whether it can weigh several objectives."""
    draws: ClassVar[int] = 20
    """Draws before a configuration that is new is looked up instead, or drawn at random where there
    is no end of them: one that does not learn from pruned trials may propose the same for ever."""

    name: str

    @property
    def history(self) -> int | None:
        """Trials that a draw looks back on, None for all: what it costs may grow with them."""
        return None

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield why this sampler makes no sense for a space and a number of trials."""
        yield from ()

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's sampler for one draw."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return the options alone, as Optuna calls them."""
        return self.model_dump(exclude={"name"})


class Tpe(SamplerOptions):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), the general choice."""

    name: Literal["tpe"] = Field("tpe", description="the sampler")
    n_startup_trials: int | None = Field(
        None,
        ge=0,
        description="trials that end before it learns, baselines and those of the portfolio among "
        "them; null: a third of the trials, from 6 to 12",
    )
    n_ei_candidates: int = Field(24, ge=1, description="candidates weighed for each draw")
    multivariate: bool = Field(default=True, description="model parameters jointly")
    group: bool | None = Field(
        None, description="model conditional parts as groups; null: in conditional spaces"
    )
    constant_liar: bool = Field(default=True, description="keep away from trials that still run")

    @property
    def history(self) -> int:
        """A thousand or more: Optuna divides the best 25 of them from the rest."""
        return max(1000, 2 * (self.n_startup_trials or 0))

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield the fault of groups without a joint model."""
        if self.group and not self.multivariate:
            yield "tpe must be multivariate for group, but got multivariate=false"

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's TPESampler."""
        from optuna.samplers import TPESampler

        from search.document.sequences import WholeSpaceTpe

        group = space.is_conditional and self.multivariate if self.group is None else self.group
        first = self.n_startup_trials
        if first is None:
            first = min(12, max(6, spec.budget.trials // 3))
        options = self.options() | {"group": group, "n_startup_trials": first}
        if self.multivariate and not group and not space.is_conditional:
            return WholeSpaceTpe(space, seed=seed, **options)
        return TPESampler(seed=seed, **options)


class Gp(SamplerOptions):
    """Gaussian process with expected improvement; learns from completed trials only.

    It takes 1,000 trials at most, its cost being cubic, and a space without conditions.
    """

    name: Literal["gp"] = Field("gp", description="the sampler")
    several: ClassVar[bool] = False
    draws: ClassVar[int] = 3  # each takes a second, and another seed hardly changes what it finds
    n_startup_trials: int = Field(10, ge=0, description="random trials before it learns")
    deterministic_objective: bool = Field(default=False, description="take values as free of noise")

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield the faults of conditional parts and of more trials than a cubic cost bears."""
        if space.is_conditional:
            yield f"gp must have a space without conditions, but got {conditional(space)}"
        if trials > 1000:
            yield f"gp must have at most 1000 trials, its cost being cubic, but got {trials}"

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's GPSampler."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, warn_independent_sampling=False, **self.options())


class CmaEs(SamplerOptions):
    """Covariance matrix adaptation (Hansen 2016); learns from completed trials only.

    It takes two ranges at least, no lists and no conditions, and one variant of the last three
    options at most.
    """

    name: Literal["cma-es"] = Field("cma-es", description="the sampler")
    looks_back: ClassVar[bool] = False
    several: ClassVar[bool] = False
    n_startup_trials: int = Field(1, ge=0, description="random trials before it learns")
    popsize: int | None = Field(None, ge=3, description="trials a generation; null: by dimension")
    use_separable_cma: bool = Field(
        default=False, description="a diagonal covariance, for many parameters"
    )
    with_margin: bool = Field(default=False, description="keep steps from freezing a parameter")
    lr_adapt: bool = Field(
        default=False, description="adapt the learning rate, for noisy objectives"
    )

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield the faults of what is no plain product of ranges, and of options that clash."""
        listed = [n for n, p in space.parameters.items() if isinstance(p, Choices)]
        ranged = [n for n, p in space.parameters.items() if n not in listed and not single(p)]
        if listed:
            yield f"cma-es must have ranges only, but got lists for {', '.join(listed)}"
        if space.is_conditional:
            yield f"cma-es must have a space without conditions, but got {conditional(space)}"
        if len(ranged) < 2:
            yield f"cma-es must have at least two ranges, but got {', '.join(ranged) or 'none'}"
        kinds = [k for k in ("use_separable_cma", "with_margin", "lr_adapt") if getattr(self, k)]
        if len(kinds) > 1:
            yield f"cma-es must have at most one variant, but got {', '.join(kinds)}"

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's CmaEsSampler; pruned trials stay out, since some diverged to NaN."""
        from search.document.sequences import StatelessCmaEs

        return StatelessCmaEs(seed=seed, warn_independent_sampling=False, **self.options())


class Random(SamplerOptions):
    """Every trial on its own; the yardstick for all others."""

    name: Literal["random"] = Field("random", description="the sampler")
    learns: ClassVar[bool] = False

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's RandomSampler."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


class GridSearch(SamplerOptions):
    """Every configuration once, in random order; conditional parts are respected."""

    name: Literal["grid"] = Field("grid", description="the sampler")
    learns: ClassVar[bool] = False

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield the fault of ranges that have no end of values."""
        endless = [name for name, p in space.parameters.items() if p.grid is None]
        if endless:
            yield (
                "grid must have a list or a step for every parameter, "
                f"but got a continuous range for {', '.join(endless)}"
            )

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's BruteForceSampler, which unlike GridSampler knows conditions."""
        from optuna.samplers import BruteForceSampler

        return BruteForceSampler(seed=seed)


class Qmc(SamplerOptions):
    """A quasi-random sequence, which covers the space more evenly than random draws."""

    name: Literal["qmc"] = Field("qmc", description="the sampler")
    qmc_type: Literal["sobol", "halton"] = Field("sobol", description="the sequence")
    scramble: bool = Field(default=True, description="shift it by the job's seed")
    learns: ClassVar[bool] = False

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's QMCSampler over the whole space.

        The sequence is the job's, so its seed is the same for every draw.
        """
        from search.document.sequences import WholeSpaceQmc

        return WholeSpaceQmc(space, seed, derive_seed(spec.seed, "qmc"), **self.options())


class NsgaIi(SamplerOptions):
    """Genetic algorithm (Deb et al. 2002); learns from completed trials only."""

    name: Literal["nsga-ii"] = Field("nsga-ii", description="the sampler")
    looks_back: ClassVar[bool] = False
    population_size: int | None = Field(
        None, ge=2, description="trials a generation; null: a fifth of the trials, from 4 to 50"
    )
    mutation_prob: float | None = Field(
        None, ge=0.0, le=1.0, description="chance that a parameter is drawn anew; null: 1 / number"
    )
    crossover_prob: float = Field(0.9, ge=0.0, le=1.0, description="chance of two parents")
    swapping_prob: float = Field(
        0.5, ge=0.0, le=1.0, description="chance that a parameter comes from the other parent"
    )

    def refusals(self, space: Space, trials: int) -> Iterator[str]:
        """Yield the fault of a first generation that takes all trials."""
        size = self.population_size
        if size is not None and size > trials:
            yield f"nsga-ii must have population_size <= {trials} trials, but got {size}"

    def build(self, spec: "JobSpec", space: Space, seed: int) -> "BaseSampler":
        """Return Optuna's NSGAIISampler."""
        from search.document.sequences import StatelessNsgaIi

        size = self.population_size or min(50, max(4, spec.budget.trials // 5))
        return StatelessNsgaIi(seed=seed, **self.options() | {"population_size": size})


AnySampler = Annotated[
    Tpe | Gp | CmaEs | Random | GridSearch | Qmc | NsgaIi, Field(discriminator="name")
]
SAMPLERS: dict[str, type[SamplerOptions]] = {
    model.model_fields["name"].default: model
    for model in (Tpe, Gp, CmaEs, Random, GridSearch, Qmc, NsgaIi)
}
"""The options of every sampler, by the name that documents use."""


def conditional(space: Space) -> str:
    """Return the conditional parameters in words."""
    names = [n for n, p in space.parameters.items() if any(o in space.parameters for o in p.when)]
    return f"`when` at {', '.join(names)}"


def single(parameter: Any) -> bool:
    """Whether there is nothing to choose."""
    return parameter.grid is not None and len(parameter.grid) == 1


def make_sampler(
    spec: "JobSpec", seed: int, known: Mapping[str, Any] = MappingProxyType({})
) -> "BaseSampler":
    """Return the job's sampler for one draw.

    It is made again for every draw, with another seed: what a sampler remembers from trial to
    trial stands in the attributes of study and trials, never in the object.

    Args:
        spec: the job.
        seed: of the draw.
        known: values that are given, and not drawn.
    """
    with warnings.catch_warnings():
        from optuna.exceptions import ExperimentalWarning

        # Chosen with care: what "experimental" says is that signatures may still change.
        warnings.simplefilter("ignore", ExperimentalWarning)
        if not known:
            return spec.sampler.build(spec, Space.of(spec), seed)
        from optuna.samplers import PartialFixedSampler, RandomSampler

        # What is drawn beside known values is drawn at random: samplers that remember the space
        # in their trials, such as cma-es, would take the rest of it for all of it.
        return PartialFixedSampler(dict(known), RandomSampler(seed))
