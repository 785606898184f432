"""Optuna's successive halving, changed so that what a trial costs it does not grow with them."""

from bisect import insort
from math import isnan

from optuna import Study
from optuna.pruners import SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial


class OrderedHalving(SuccessiveHalvingPruner):
    """Decides as Optuna's does, of the values of each rung that it keeps in order.

    Optuna's own reads every trial of the study for each that comes to a rung. Here that is done
    once a rung: from then on nobody else may write what trials had at rungs, or take a trial out.

    Args:
        min_resource: epoch of the first rung.
        reduction_factor: one of so many goes on, to a rung so many times later.
        min_early_stopping_rate: rungs left out at the beginning.
        bootstrap_count: trials that end at a rung before any goes on from it.
    """

    def __init__(
        self,
        *,
        min_resource: int,
        reduction_factor: int,
        min_early_stopping_rate: int,
        bootstrap_count: int,
    ) -> None:
        super().__init__(min_resource, reduction_factor, min_early_stopping_rate, bootstrap_count)
        self.first = min_resource * reduction_factor**min_early_stopping_rate
        self.factor = reduction_factor
        self.bootstrap_count = bootstrap_count
        self.values: dict[tuple[str, str], list[float]] = {}
        """In rising order, by the names of the study and of the rung's attribute."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a trial ends at the epoch that it has reported last."""
        step = trial.last_step
        if step is None:
            return False
        value = trial.intermediate_values[step]
        rung = 0
        while attribute(rung) in trial.system_attrs:
            rung += 1
        while step >= self.first * self.factor**rung:
            if isnan(value) or not self.goes_on(study, trial, attribute(rung), value):
                return True
            rung += 1
        return False

    def goes_on(self, study: Study, trial: FrozenTrial, rung: str, value: float) -> bool:
        """Add a trial's value to a rung, and return whether it goes on from there."""
        values = self.at(study, rung)
        study._storage.set_trial_system_attr(trial._trial_id, rung, value)
        insort(values, value)
        if len(values) <= self.bootstrap_count:
            return False
        # Of fewer than one in so many the best goes on, as no trial can wait for others.
        best = max(1, len(values) // self.factor)
        if study.direction is StudyDirection.MAXIMIZE:
            return value >= values[-best]
        return value <= values[best - 1]

    def at(self, study: Study, rung: str) -> list[float]:
        """Return the values of a rung, which may have been in the study before."""
        known = study.study_name, rung
        if known not in self.values:
            trials = study.get_trials(deepcopy=False)
            self.values[known] = sorted(
                one.system_attrs[rung] for one in trials if rung in one.system_attrs
            )
        return self.values[known]


def attribute(rung: int) -> str:
    """Return where Optuna keeps what a trial had at a rung, counted from 0."""
    return f"completed_rung_{rung}"
