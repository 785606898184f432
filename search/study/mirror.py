"""A copy of the study in memory, in which the sampler draws before anything is written."""

import copy
import math
import random
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.database.storage import in_memory_study
from search.document.samplers import make_sampler
from search.document.sections import Direction
from search.document.seeding import derive_seed
from search.document.space import Space
from search.document.spec import JobSpec
from search.study.cost import typical_s
from search.study.warming import Taken, without_history
from trainables.config import Parameters
from trainables.metrics import sign_of

RANDOM_DRAWS = 1000
"""Draws at random before a space without end counts as exhausted: most of it may be few
configurations, and what has no end only count where some rare condition holds."""

LIMIT = "constraints:"
"""How Optuna names the attributes that tell by how much a limit is exceeded."""

DIVERGED = f"{LIMIT}diverged"
"""Of a trial of several objectives that diverged, which counts as complete."""

APART = "apart"
"""The study in memory of trials that no sampler sees."""


class Mirror:
    """The sampler and all that it may know: of the study, and of earlier jobs.

    Drawing here keeps the database free of half-asked trials: a draw that doubles an earlier
    trial is dropped, and one that is kept is written whole.

    Args:
        spec: the job's document.
        taken: what the job has taken over from earlier ones; None where it was not asked to.
    """

    def __init__(self, spec: JobSpec, taken: Taken | None = None) -> None:
        self.spec = spec
        self.space = Space.of(spec)
        self.taken = without_history(spec) if taken is None else taken
        self.first_draws = dict(enumerate(self.taken.first, start=len(spec.baseline)))
        """What some draws are fixed to, by the number of the trial; baselines come before."""
        self.sign = sign_of(spec.objective.direction)
        self.study = self.started()
        self.ids: dict[int, int] = {}
        self.tried = self.known()
        self.forgot_at = 0
        self.ahead: list[FrozenTrial] = []
        """The last trials of the budget, which were drawn together."""

    @property
    def storage(self) -> BaseStorage:
        """The memory that the study lives in."""
        return self.study._storage

    @property
    def study_id(self) -> int:
        """The study's number in its storage."""
        return self.study._study_id

    def identity(self, parameters: Parameters, overrides: Parameters) -> str:
        """Return what makes two trials the same: everything that they would train with."""
        return self.spec.config(parameters, overrides).model_dump_json()

    def known(self) -> set[str]:
        """Return what was taken over, but for the first draws, which win only if trained here."""
        first = [self.identity(self.space.active(one), {}) for one in self.taken.first]
        past = {self.identity(one.parameters, {}) for one in self.taken.history}
        return past - set(first)

    def started(self) -> Study:
        """Return a study that knows what was taken over from earlier jobs."""
        aim = self.spec.objective
        smaller: list[Direction] = ["minimize"] * len(aim.beside)
        study = in_memory_study("mirror", aim.direction, *smaller)
        study._storage.create_new_study(study.directions, APART)
        for one in self.taken.history:
            study.add_trial(one.trial(self.space))
        return study

    def restore_attrs(self, attrs: dict[str, Any]) -> None:
        """Take over what samplers remember in the study itself."""
        for key, value in attrs.items():
            self.storage.set_study_system_attr(self.study_id, key, value)

    def attrs(self) -> dict[str, Any]:
        """Return what samplers remember in the study itself."""
        return self.storage.get_study_system_attrs(self.study_id)

    def add(self, number: int, trial: FrozenTrial, identity: str) -> None:
        """Add a trial that exists in the study, or is about to."""
        self.ids[number] = self.keep(trial)
        self.tried.add(identity)

    def own(self, states: Collection[TrialState]) -> Iterator[FrozenTrial]:
        """Yield the job's own trials in some states, not those of earlier jobs."""
        trials = map(self.storage.get_trial, self.ids.values())
        yield from (trial for trial in trials if trial.state in states)

    def keep(self, trial: FrozenTrial) -> int:
        """Add a trial to the memory, and return its id there.

        No sampler sees a baseline that is no configuration of the space, such as one of a single
        layer where dropout is searched between two: grid search would find it where none can be,
        and those that look for what all trials share would lose the parameter that it lacks.
        """
        inside = self.space.holds(trial.params)
        study = self.study_id if inside else self.storage.get_study_id_from_name(APART)
        return self.storage.create_new_trial(study, trial)

    def next(self, number: int, *, left: int, slots: int) -> FrozenTrial | None:
        """Return the next trial to start, None if no configuration is left.

        As many as run at once are drawn together when they are the last: none of them learns much
        of another any more, and with the longest started first none runs on alone for long.

        Args:
            number: of the trial.
            left: trials of the budget, this one included.
            slots: how many run at once.
        """
        if not self.ahead and 1 < left <= slots:
            found: dict[int, FrozenTrial] = {}
            for at in range(number, number + left):
                if (trial := self.draw(at)) is None:
                    break  # numbers have no gaps, though a later draw might find something
                found[at] = trial
            if not found:
                return None
            longest = list(found)
            if self.first_draws.keys().isdisjoint(found):  # else one that is drawn again is lost
                longest.sort(key=lambda at: -typical_s(self.spec.config(found[at].params)))
            # The ids as of now: a draw may have made the study anew.
            self.ids |= dict(zip(found, [self.ids[at] for at in longest], strict=True))
            self.ahead = [found[at] for at in longest]
        return self.ahead.pop(0) if self.ahead else self.draw(number)

    def draw(self, number: int) -> FrozenTrial | None:
        """Return a configuration for trial ``number`` that no trial has yet; None if none is left.

        The seed depends on the job's seed and the number alone, so that a driver that is started
        again goes on as the first would have.
        """
        self.forget(number)
        draws = self.spec.sampler.draws
        for attempt in range(draws if self.space.size else draws + RANDOM_DRAWS):
            seed = derive_seed(self.spec.seed, "sample", number, attempt)
            at_random = attempt >= draws
            known = {} if attempt else self.first_draws.get(number, {})
            self.study.sampler = (
                RandomSampler(seed) if at_random else make_sampler(self.spec, seed, known)
            )
            asked = self.study.ask()
            identity = self.identity(self.space.suggest(asked), {})
            trial_id = asked._trial_id
            if identity not in self.tried:
                self.ids[number] = trial_id
                self.tried.add(identity)
                return copy.deepcopy(self.storage.get_trial(trial_id))
            # Samplers ignore failed trials, so a dropped draw teaches them nothing.
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return self.look_up(number)

    def forget(self, number: int) -> None:
        """Go on with the best trials and the newest, where the sampler's draws grow dear.

        At numbers that are fixed, so that a driver that is started again forgets the same.
        """
        history = self.spec.sampler.history
        if history is None:
            return
        due = number - number % (history // 2)
        if due < history * 3 // 2 or due == self.forgot_at:
            return
        self.forgot_at = due
        known = {n: self.storage.get_trial(trial_id) for n, trial_id in self.ids.items()}
        old = [n for n in sorted(known) if n < due and known[n].state.is_finished()]
        scored = [n for n in old if known[n].values and not has_diverged(known[n])]
        scored.sort(key=lambda n: -self.sign * known[n].values[0])
        lost = set(old[: -history * 9 // 10]) - set(scored[: history // 10])
        attrs = self.attrs()
        self.study = self.started()
        self.restore_attrs(attrs)
        self.ids = {n: self.keep(trial) for n, trial in sorted(known.items()) if n not in lost}

    def look_up(self, number: int) -> FrozenTrial | None:
        """Return one of the configurations left in a small discrete space."""
        if self.space.size is None:
            return None
        untried = (c for c in self.space.configurations() if self.identity(c, {}) not in self.tried)
        left = list(islice(untried, 1000))
        if not left:
            return None
        chosen = random.Random(derive_seed(self.spec.seed, "look-up", number)).choice(left)  # noqa: S311
        self.add(number, self.frozen(chosen), self.identity(chosen, {}))
        return copy.deepcopy(self.storage.get_trial(self.ids[number]))

    def frozen(self, parameters: Parameters, **user_attrs: Any) -> FrozenTrial:
        """Return a running trial with the given parameters of the space."""
        distributions: dict[str, BaseDistribution] = self.space.distributions(parameters)
        return create_trial(
            state=TrialState.RUNNING,
            params=parameters,
            distributions=distributions,
            user_attrs=user_attrs,
        )

    def report(self, number: int, epoch: int, value: float) -> None:
        """Add an intermediate value."""
        self.storage.set_trial_intermediate_value(self.ids[number], epoch, value)

    def finish(
        self,
        number: int,
        state: TrialState,
        value: float | None,
        costs: Mapping[str, float] | None = None,
    ) -> None:
        """Add how a trial ended.

        Args:
            number: the trial.
            state: how.
            value: its best, where it is complete.
            costs: of its network, where they are known.
        """
        trial_id = self.ids[number]
        last = self.storage.get_trial(trial_id).intermediate_values
        state, values, limits = self.told(state, value, last, costs)
        for name, excess in limits.items():
            self.storage.set_trial_system_attr(trial_id, name, excess)
        self.storage.set_trial_state_values(trial_id, state, values)

    def ended(self, trial: FrozenTrial) -> FrozenTrial:
        """Return a trial of the study that has ended, as the sampler is told of it."""
        costs = trial.user_attrs.get("costs")
        told = copy.copy(trial)
        # In the order of the space, by which grid search finds its way through earlier trials.
        told.distributions = self.space.distributions(trial.params)
        told.state, told.values, limits = self.told(
            trial.state, trial.value, trial.intermediate_values, costs
        )
        told.system_attrs = trial.system_attrs | limits
        return told

    def told(
        self,
        state: TrialState,
        value: float | None,
        last: Mapping[int, float],
        costs: Mapping[str, float] | None,
    ) -> tuple[TrialState, list[float] | None, dict[str, float]]:
        """Return state, values and limits of a trial as the sampler is told of them.

        Of several objectives a sampler only knows whole trials: one that was ended early counts
        by its last epoch, and one without an epoch for nothing. One that diverged is farther over
        a limit than any other: those that failed are ignored, so that it would go there again.

        Limits are the attributes that `optuna.Trial.set_constraint` sets: 0 or less is kept.
        """
        exceeded = self.spec.objective.exceeds(costs or {})
        limits = {f"{LIMIT}{name}": excess for name, excess in exceeded.items()}
        beside = self.spec.objective.beside
        if not beside:
            return state, None if value is None else [value], limits
        reached = value if value is not None else last[max(last)] if last else None
        if reached is not None and not math.isfinite(reached):
            return TrialState.COMPLETE, [0.0] * (1 + len(beside)), {DIVERGED: math.inf}
        if reached is None or costs is None:
            return TrialState.FAIL, None, limits
        return TrialState.COMPLETE, [reached, *(costs[name] for name in beside)], limits


def has_diverged(told: FrozenTrial) -> bool:
    """Return whether a sampler was told that a trial of several objectives diverged."""
    return DIVERGED in told.system_attrs
