"""How long a study will still take, from what its trials cost and how many of them end early."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from search.common.trial import LiveTrial, Verdict
from search.database.storage import in_memory_study
from search.document.space import Space
from search.document.spec import JobSpec
from search.study.cost import TERMS, Cost, Work
from search.study.mirror import has_diverged
from search.study.study import JobStudy
from trainables.config import TrialConfig

DRAWS = 200
"""Configurations that stand for all that the sampler may draw."""

PRIOR = 10
"""How many trials the space counts as much as, beside those that were drawn: a sampler that learns
goes where it is good, which may be where it is dear."""


KNOWN = 4
"""How many trials count as much as what is known of a pruner beforehand."""


class Endings:
    """At which epochs trials are ended early: the estimate of Kaplan and Meier (1958).

    It counts trials that still run for what they are: known to have come this far.

    Args:
        known: epochs, and what part of the trials there is known beforehand to end.
    """

    def __init__(self, known: Iterable[tuple[int, float]] = ()) -> None:
        self.reached: defaultdict[int, float] = defaultdict(float)
        self.ended: defaultdict[int, float] = defaultdict(float)
        for epoch, part in known:
            self.reached[epoch] = KNOWN
            self.ended[epoch] = KNOWN * part

    def note(self, epoch: int, *, early: bool) -> None:
        """Count a trial that has reached an epoch, and whether it ended there before its time."""
        self.reached[epoch] += 1
        self.ended[epoch] += early

    def epochs_left(self, epoch: int, epochs: int) -> float:
        """Return how many more epochs a trial of so many may be expected to have."""
        left, alive, last = 0.0, 1.0, epoch
        for end in sorted(end for end, trials in self.ended.items() if trials):
            if epoch < end < epochs:
                left += alive * (end - last)
                # As if one more had come this far and gone on, so that there is always hope.
                alive *= 1 - self.ended[end] / (self.reached[end] + 1)
                last = end
        return left + alive * (epochs - last)


@dataclass
class Running:
    """A trial that runs, and when it was last heard of."""

    live: LiveTrial
    heard: float
    is_timed: bool
    """Whether the time to its next report is that of an epoch, not also of a worker's start."""


class Forecast:
    """The time that a study will still take. It has to be told what happens, as an observer is.

    Args:
        study: all of whose trials are to run.
        cost: what an epoch takes, which learns here.
        elapsed_s: seconds that the job has run, for `budget.hours`.
        clock: what the time is, in seconds.
    """

    def __init__(
        self,
        study: JobStudy,
        cost: Cost,
        elapsed_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study = study
        self.cost = cost
        self.elapsed_s = elapsed_s
        self.clock = clock
        self.slots = 1
        self.running: dict[int, Running] = {}
        self.has_heard = False
        self.busy_s = 0.0
        self.done = nothing()
        """Seconds of workers, and the work that was done in them."""
        self.endings = Endings(study.spec.pruner.endings(study.spec.most_epochs))
        self.drawn = 0
        self.drawn_work = nothing()
        """Trials of the sampler that have ended, and all the work that they were."""
        self.look_back()

    def look_back(self) -> None:
        """Count the trials that ended before this start."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        for trial in self.study.mirror.own(states):
            if "baseline" not in trial.user_attrs and "replicate" not in trial.user_attrs:
                epochs = len(trial.intermediate_values)
                ended = trial.state is TrialState.PRUNED or has_diverged(trial)
                for epoch in range(1, epochs + 1):
                    self.endings.note(epoch, early=ended and epoch == epochs)
                self.count(self.study.spec.config_of(trial), epochs)

    def count(self, config: TrialConfig, epochs: int) -> None:
        """Count a trial of the sampler that has ended."""
        self.drawn += 1
        self.drawn_work += epochs * self.cost.work(config)

    # -- events --------------------------------------------------------------------------------

    def asked(self, live: LiveTrial) -> None:
        """A trial starts, or starts again."""
        self.running[live.number] = Running(live, self.clock(), is_timed=self.has_heard)

    def reported(self, live: LiveTrial, metrics: dict[str, float], verdict: Verdict) -> None:
        """An epoch was committed."""
        running, now = self.running[live.number], self.clock()
        took, precision = metrics.get("epoch_s", 0.0), live.precision or "float32"
        if took > 0:
            self.cost.learn(live.config, precision, took)
        if running.is_timed:
            self.busy_s += now - running.heard
            self.done += self.cost.work(live.config, precision)
        running.heard, running.is_timed, self.has_heard = now, True, True
        ended, early = verdict is not Verdict.CONTINUE, verdict is not Verdict.COMPLETE
        if self.is_drawn(live):
            self.endings.note(live.acknowledged, early=ended and early)
        if ended:
            self.ended(live)

    def ended(self, live: LiveTrial) -> None:
        """A trial has ended for good."""
        del self.running[live.number]
        if self.is_drawn(live):
            self.count(live.config, live.acknowledged)

    def lost(self, live: LiveTrial, *, again: bool) -> None:
        """A trial lost its worker."""
        if again:
            del self.running[live.number]
        else:
            self.ended(live)

    def is_drawn(self, live: LiveTrial) -> bool:
        """Whether a trial is the sampler's, and may be ended early."""
        return live.number >= len(self.study.fixed)

    # -- what follows --------------------------------------------------------------------------

    def left(self) -> float | None:
        """Return the seconds that are left, None before anything is known.

        As if the trials that are known were shared out evenly at once; but no trial is shared.
        """
        if not self.cost.has_learned:
            return None
        known = list(self.known())
        drawn = self.undrawn() * self.drawn_s() if self.undrawn() else 0.0
        slots = max(1, min(self.slots, len(known) + self.undrawn()))
        left = self.pace() * max((sum(known) + drawn) / slots, max(known, default=0.0))
        hours = self.study.spec.budget.hours if self.study.searching else None
        return left if hours is None else max(0.0, min(left, hours * 3600 - self.elapsed_s()))

    def known(self) -> Iterator[float]:
        """Yield, for each trial whose settings are known, how long its epochs will still take."""
        now, pace = self.clock(), self.pace()
        for running in list(self.running.values()):
            epoch_s = self.cost.seconds(self.cost.work(running.live.config, running.live.precision))
            since = min(epoch_s, (now - running.heard) / pace)
            yield epoch_s * self.epochs_left(running.live) - since
        for live in list(self.study.waiting):
            work = self.cost.work(live.config, live.precision)
            yield self.cost.seconds(work) * self.epochs_left(live)
        if not self.study.is_closed:
            yield from (self.cost.seconds(work) for work in self.fixed_work[self.study.count :])

    def epochs_left(self, live: LiveTrial) -> float:
        """Return how many more epochs a trial may be expected to have."""
        epoch, epochs = live.acknowledged, live.config.epochs
        return self.endings.epochs_left(epoch, epochs) if self.is_drawn(live) else epochs - epoch

    def undrawn(self) -> int:
        """Return how many trials the sampler has still to draw."""
        begun = max(self.study.count, len(self.study.fixed))
        return 0 if self.study.is_closed else max(0, self.most - begun)

    @cached_property
    def most(self) -> int:
        """How many trials there can be: a space may hold fewer than the budget."""
        baselines = len(self.study.spec.baseline)
        return baselines + self.study.mirror.space.most(self.study.trials - baselines)

    def drawn_s(self) -> float:
        """Return the seconds that a trial of the sampler may be expected to take."""
        works = (work * self.endings.epochs_left(0, n) for n, work in self.space_work.items())
        number, total = PRIOR + self.drawn, PRIOR * sum(works, nothing()) + self.drawn_work
        for running in list(self.running.values()):
            if self.is_drawn(running.live):
                epochs = running.live.acknowledged + self.epochs_left(running.live)
                total += epochs * self.cost.work(running.live.config, running.live.precision)
                number += 1
        return self.cost.seconds(total / number)

    def pace(self) -> float:
        """Return how much longer trials take than their epochs say, with all that is around them.

        That is checkpoints and reports, and what else the machine has to do.
        """
        expected = self.cost.seconds(self.done)
        return self.busy_s / expected if self.busy_s and expected else 1.0

    @cached_property
    def fixed_work(self) -> list[Work]:
        """What each fixed trial is in all."""
        spec = self.study.spec
        configs = [spec.config(one.parameters, one.overrides) for one in self.study.fixed]
        return [config.epochs * self.cost.work(config) for config in configs]

    @cached_property
    def space_work(self) -> dict[int, Work]:
        """What an epoch of the space is on average, by how many epochs a trial is to have."""
        found: dict[int, Work] = {}
        for config in draws(self.study.spec):
            part = self.cost.work(config) / DRAWS
            found[config.epochs] = found.get(config.epochs, nothing()) + part
        return found


def draws(spec: JobSpec) -> Iterator[TrialConfig]:
    """Yield configurations from all over the space."""
    space, study = Space.of(spec), in_memory_study("draws", spec.objective.direction)
    study.sampler = RandomSampler(0)
    for _ in range(DRAWS):
        yield spec.config(space.suggest(study.ask()))


def nothing() -> Work:
    """Return no work."""
    return np.zeros(len(TERMS))
