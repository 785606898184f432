"""A stage of a job as the engine runs it: a study, and the files of its trials."""

from collections.abc import Callable
from dataclasses import dataclass

from search.common.trial import Verdict
from search.study.retention import complete, delete, needed, unreferenced
from search.study.study import JobStudy
from trainables.checkpoint import Checkpoints, trial_folder
from trainables.folder import Folder

TIDYING = 8
"""Ended trials whose files are deleted at once: in an object store each asks several times, one
after the other."""


@dataclass(frozen=True)
class Stage:
    """A study, and where its trials keep what they have learned.

    Attributes:
        study: which trials, and what follows from their epochs.
        checkpoints: folder for the study's trials.
        keeps_workers: whether those without a trial wait for the stage that follows.
        when_last: called again and again once no trial is left to start.
    """

    study: JobStudy
    checkpoints: Folder
    keeps_workers: bool = False
    when_last: Callable[[], None] = lambda: None

    def sweep(self) -> None:
        """Delete what earlier drivers of the study left and nobody needs."""
        self.study.leaders.outranked()
        trials = self.study.storage.optuna.get_all_trials(self.study.study_id, deepcopy=False)
        spec, searching = self.study.spec, self.study.searching
        kept = needed(trials, spec, chosen=False) if searching else complete(trials)
        delete(unreferenced(self.checkpoints, trials, kept))

    def tidying(self, number: int, verdict: Verdict | None) -> Callable[[], None]:
        """Return what leaves of an ended trial's files the best weights of a top one alone.

        It may be called in another thread.
        """
        checkpoints = Checkpoints(self.folder(number))
        outranked = [self.folder(one) for one in self.study.leaders.outranked()]

        def tidy() -> None:
            if verdict is not Verdict.COMPLETE:
                checkpoints.folder.clear()
            elif checkpoints.has_best():
                checkpoints.clear_epochs()
            for folder in outranked:
                folder.clear()

        return tidy

    def folder(self, number: int) -> Folder:
        """Return the folder of a trial's checkpoints."""
        return self.checkpoints.child(trial_folder(number))
