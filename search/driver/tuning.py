"""The hooks by which Ray Tune asks a study: each passes on and never raises."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

if TYPE_CHECKING:
    from search.driver.engine import Engine

ANY_NUMBER = 1_000_000
"""More workers than there are."""


class StudySearcher(Searcher):
    """Tune's searcher: asks the study. Never raises."""

    def __init__(self, engine: "Engine") -> None:
        super().__init__()
        self.engine = engine

    def suggest(self, trial_id: str) -> Any:
        """Return a configuration, None for not yet, or FINISHED."""
        try:
            return self.engine.suggest(trial_id)
        except Exception as error:
            self.engine.guard(error)
            return Searcher.FINISHED

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,  # noqa: ARG002
        error: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Count an error that the scheduler was not told about."""
        if error:
            try:
                self.engine.lose(trial_id, "the worker was lost")
            except Exception as fault:
                self.engine.guard(fault)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the study is the state."""


class StudyScheduler(FIFOScheduler):
    """Tune's scheduler: commits each result to the study. Never raises."""

    def __init__(self, engine: "Engine") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.engine = engine
        self.kept = 0
        """How many workers Tune may keep for trials that are not known yet."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:  # noqa: ARG002
        """Return a trial that waits for a worker; Tune's own walks over all that ever ran."""
        return next(
            (trial for trial in self.engine.placed.values() if trial.status == Trial.PENDING), None
        )

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Remember Tune's trial, to notice an ERROR that nobody announces."""
        self.engine.placed[self.engine.numbers[trial.trial_id]] = trial
        self.keep(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Commit an epoch."""
        try:
            return self.engine.report(trial.trial_id, result)
        except Exception as error:
            self.engine.guard(error)
            return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Let Tune forget the trials that have ended before."""
        forget_ended(tune_controller)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Count a failed attempt, with the worker's traceback."""
        try:
            self.engine.lose(trial.trial_id, reason_of(trial))
        except Exception as error:
            self.engine.guard(error)
        self.keep(tune_controller, trial)

    def keep(self, tune_controller: Any, trial: Trial) -> None:
        """Keep workers without a trial, or let Tune end all but one of them as it would.

        They hold memory, so that none is kept beside a trial that must have it all.
        """
        keeps = self.engine.stage.keeps_workers and not self.engine.study.has_alone
        more = (ANY_NUMBER if keeps else 0) - self.kept
        if more:
            tune_controller._actor_cache.increase_max(trial.placement_group_factory, more)
            self.kept += more


class Silence(TrialProgressCallback):
    """Takes the place of Tune's callback that prints, which would keep every trial."""

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:  # noqa: FBT001, FBT002
        """Say nothing about an epoch or an error."""

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Say nothing about an end."""


class StudyStopper(Stopper):
    """Ends Tune's loop when the engine is halted; Tune asks it in each round."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002
        """Stop no single trial: that is the scheduler's verdict."""
        return False

    def stop_all(self) -> bool:
        """Whether the whole run should end now."""
        try:
            self.engine.poll()
        except Exception as error:
            self.engine.guard(error)
        return self.engine.halted


def forget_ended(controller: TuneController) -> None:
    """Take the trials that have ended out of a controller.

    It would keep them, 30 to 40 MB for 1,000, walk over all of them again and again, and write them
    down in the end for a reader who never comes.
    """
    ended = controller._stopped_trials | controller._failed_trials
    ended -= controller._trial_to_actor.keys()
    controller._stopped_trials -= ended
    controller._failed_trials -= ended
    controller._trials_to_cache -= ended
    controller._trials[:] = [trial for trial in controller._trials if trial not in ended]


def reason_of(trial: Trial) -> str:
    """Return the text of what ended a trial, a traceback where the worker left one."""
    path = trial.error_file
    if path is None or not Path(path).exists():
        return "the worker was lost"
    return Path(path).read_text(encoding="utf-8", errors="replace").strip()


def actor_of(trial: Trial) -> Any:
    """Return the worker that has a trial; None while it waits for one."""
    return trial.temporary_state.ray_actor
