"""Some of Optuna's samplers, changed so that they may be made again for every draw."""

import copy
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from search.document.space import Space, distribution


class WholeSpace:
    """Models all parameters of a space together, instead of those that earlier trials share."""

    space: Space

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return all parameters that have more than one value, by name."""
        whole = {name: distribution(p) for name, p in self.space.parameters.items()}
        return {name: d for name, d in sorted(whole.items()) if not d.single()}


class WholeSpaceTpe(WholeSpace, TPESampler):
    """A joint model of all parameters of a space without conditions.

    Optuna's own looks for the parameters that all trials share, and reads every trial for each
    draw unless the sampler is kept.

    Args:
        space: the job's space.
        options: as of `TPESampler`.

    """

    def __init__(self, space: Space, **options: Any) -> None:
        super().__init__(**options)
        self.space = space


class WholeSpaceQmc(WholeSpace, QMCSampler):
    """A quasi-random sequence with a coordinate for every parameter, conditional ones included.

    Optuna's own takes the parameters of the first trial that ended, a baseline for instance, and
    draws all others at random. Here a conditional parameter has its coordinate in every trial,
    and uses it where it is active.

    Args:
        space: the job's space.
        seed: seed of this draw, for parameters that the sequence leaves out.
        sequence_seed: seed of the sequence, the same for all draws of a job.
        options: as of `QMCSampler`.

    """

    def __init__(self, space: Space, seed: int, sequence_seed: int, **options: Any) -> None:
        super().__init__(
            seed=sequence_seed,
            independent_sampler=RandomSampler(seed=seed),
            warn_independent_sampling=False,
            **options,
        )
        self.space = space


class StatelessCmaEs(CmaEsSampler):
    """CMA-ES whose draws have the seed that it is given alone.

    Optuna's own adds the trial's number in its study, of which a draw that was dropped takes one:
    none of these are there once the study has been read back into memory.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next candidate's parameters."""
        first = copy.copy(trial)
        first.number = 0
        return super().sample_relative(study, first, search_space)


class StatelessNsgaIi(NSGAIISampler):
    """NSGA-II that finds the parents of a generation anew.

    Optuna's own caches them in the study by the storage's keys of the trials, which are others
    once the study has been read back into memory.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Return the parents of a generation, none for the first."""
        return [] if generation == 0 else self.select_parent(study, generation)
