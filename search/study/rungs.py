"""What the pruner sees: trials of one schedule at a time, in memory."""

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.trial import TrialState

from search.database.storage import in_memory_study
from search.document.pruners import make_pruner
from search.document.seeding import derive_seed
from search.document.spec import JobSpec
from trainables.config import TrialConfig


class Rungs:
    """The pruner and the intermediate values that it compares.

    Half-way through, a one-cycle trial is behind a constant one of the same worth, so only trials
    with the same schedule and number of epochs meet. Studies are named by document and seed, since
    Hyperband assigns brackets by the name.
    """

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.pruner = make_pruner(spec)
        self.studies: dict[tuple[str, int], Study] = {}
        self.places: dict[int, tuple[Study, int]] = {}

    def add(self, number: int, config: TrialConfig) -> None:
        """Let trial ``number`` take part, once."""
        if number in self.places:
            return
        key = (config.schedule, config.epochs)
        if key not in self.studies:
            name = f"{derive_seed(self.spec.to_json(), *key)}"
            self.studies[key] = in_memory_study(name, self.spec.objective.direction)
        study = self.studies[key]
        storage = study._storage
        self.places[number] = (study, storage.create_new_trial(study._study_id))

    def judge(self, number: int, epoch: int, value: float) -> bool:
        """Add a value and return whether the pruner would end the trial here."""
        study, trial_id = self.places[number]
        storage = study._storage
        storage.set_trial_intermediate_value(trial_id, epoch, value)
        return self.pruner.prune(study, storage.get_trial(trial_id))

    def memory(self, number: int) -> dict[str, Any]:
        """Return what the pruner remembers of a trial, to be kept beside its epoch."""
        study, trial_id = self.places[number]
        return dict(study._storage.get_trial_system_attrs(trial_id))

    def replay(self, number: int, epoch: int, value: float, memory: Mapping[str, Any]) -> None:
        """Add a value that was judged before, with what the pruner remembered then.

        Asking again would compare with trials that came later, and could decide otherwise.
        """
        study, trial_id = self.places[number]
        storage = study._storage
        storage.set_trial_intermediate_value(trial_id, epoch, value)
        for key, remembered in memory.items():
            storage.set_trial_system_attr(trial_id, key, remembered)

    def finish(self, number: int, state: TrialState, value: float | None) -> None:
        """Add how a trial ended."""
        study, trial_id = self.places[number]
        values = None if value is None else [value]
        study._storage.set_trial_state_values(trial_id, state, values)
