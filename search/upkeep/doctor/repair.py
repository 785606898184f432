"""Mends what was found of a job, under its lease, so never while a driver of it lives."""

from collections.abc import Callable, Iterable
from functools import partial

from search.database.lease import LeaseLostError
from search.database.storage import DATABASE_AWAY
from search.database.store import DatabaseAwayError
from search.upkeep.doctor import mend_record, mend_tracking, steps
from search.upkeep.doctor.hands import Hands
from search.upkeep.doctor.record import brief

FIRST: tuple[tuple[type[steps.Step], ...], ...] = (
    (steps.EndProcess, steps.DropLease, steps.StopJob),
    (steps.RestoreEpoch,),
    (steps.Requeue,),
    (steps.RewriteRow,),
    (steps.DeleteRun, steps.RenewRun, steps.FindRun),
    (steps.SendAgain,),
)
"""What is done before anything is delivered, in this order."""

AFTERWARDS: tuple[tuple[type[steps.Step], ...], ...] = (
    (steps.RestoreChampion,),
    (steps.RenewVersion,),
    (steps.SetTag, steps.SetVersionTag, steps.LogChampion),
    (steps.Publish,),
    (steps.SetAlias,),
    (steps.Delete,),
)
"""What is done once all is delivered."""

TO_DELIVER = (
    steps.StopJob,
    steps.Requeue,
    steps.RewriteRow,
    steps.RenewRun,
    steps.FindRun,
    steps.SendAgain,
    steps.Publish,
)
"""Steps after which something waits for MLflow."""

OF_TRACKING = (
    steps.DeleteRun,
    steps.RenewRun,
    steps.FindRun,
    steps.SendAgain,
    steps.SetTag,
    steps.SetVersionTag,
    steps.SetAlias,
    steps.RenewVersion,
    steps.Publish,
    steps.LogChampion,
    steps.RestoreChampion,
)
"""Steps that MLflow must answer for."""


class Repairs:
    """The repairs of one job.

    Args:
        hands: access to the job.
    """

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.faults: list[str] = []

    def make(self, wanted: Iterable[steps.Step]) -> list[str]:
        """Take the steps, each at most once; return why some did not succeed.

        Raises:
            LeaseLostError: a driver took the job over.
            DatabaseAwayError: the database went away.
        """
        known = list(dict.fromkeys(wanted))
        for kinds in FIRST:
            self.take(step for step in known if isinstance(step, kinds))
        if any(isinstance(step, TO_DELIVER) for step in known):
            self.attempt("delivering to MLflow", self.hands.deliver)
        for kinds in AFTERWARDS:
            self.take(step for step in known if isinstance(step, kinds))
        return self.faults

    def take(self, chosen: Iterable[steps.Step]) -> None:
        """Take some steps."""
        for step in chosen:
            mend = (mend_tracking if isinstance(step, OF_TRACKING) else mend_record).mend
            self.attempt(f"{step.repair} ({type(step).__name__})", partial(mend, step, self.hands))

    def attempt(self, what: str, action: Callable[[], None]) -> None:
        """Do something, and note why it did not succeed; the rest is done all the same."""
        try:
            action()
        except LeaseLostError:
            raise
        except DATABASE_AWAY as error:
            raise DatabaseAwayError(brief(error)) from error
        except Exception as error:  # a store of artifacts has errors of its own
            self.faults.append(f"{what}: {brief(error)}")
