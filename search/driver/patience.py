"""A driver's patience with a database, or a store of checkpoints, that went away."""

import time
from collections.abc import Callable
from typing import TypeVar

from search.common.signals import Stop
from search.common.texts import first_line
from search.database.lease import Lease
from search.database.storage import DATABASE_AWAY
from search.database.store import DatabaseAwayError
from search.driver.progress import Progress
from trainables.folder import Folder, FolderError

PATIENCE_S = 300.0
"""How long a driver waits for a database that went away, or for the store of the checkpoints."""

TRIES = 5
"""Times in a row that a step may fail soon after it began, as if one of them went away."""

CALM_S = 60.0
"""How long a step must have gone well to have all of its tries again."""

T = TypeVar("T")


class Patience:
    """Does steps that may be repeated; where database or store went away, waits, does them again.

    Args:
        lease: of the job, in the database; whoever lost it waits no longer.
        folder: of the job's checkpoints.
        progress: who is told.
        stop: ends a wait for the database, which cannot be asked whether to stop.
        halt_if_asked: raises where a stop was asked for.
    """

    def __init__(
        self,
        lease: Lease,
        folder: Folder,
        progress: Progress,
        stop: Stop,
        halt_if_asked: Callable[[], None],
    ) -> None:
        self.lease = lease
        self.folder = folder
        self.progress = progress
        self.stop = stop
        self.halt_if_asked = halt_if_asked

    def __call__(self, step: Callable[[], T]) -> T:
        """Do a step.

        Raises:
            DatabaseAwayError: the database stayed away.
            FolderError: the store of the checkpoints did.
        """
        tries = TRIES
        while True:
            began = time.monotonic()
            try:
                return step()
            except (FolderError, *DATABASE_AWAY) as error:
                # What fails at once, over and over, is no outage; one a day is.
                tries = tries - 1 if time.monotonic() - began < CALM_S else TRIES
                if not tries:
                    raise self.away(error) from error
                self.await_answer(error)

    def await_answer(self, error: BaseException) -> None:
        """Wait until what went away answers, while the lease is still ours."""
        of_store = isinstance(error, FolderError)
        who = "the store of the checkpoints" if of_store else "the database"
        self.progress.line(f"{who} does not answer, waiting: {first_line(error)}")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.lease.store.engine.dispose()
            try:
                if of_store:
                    self.halt_if_asked()
                    self.folder.check()
                with self.lease.session():
                    pass  # a full disk refuses the commit alone
                self.progress.line(f"{who} answers again")
            except (FolderError, *DATABASE_AWAY) as again:
                stopped = self.stop.requested and not of_store  # else it is halted above
                if stopped or time.monotonic() > deadline:
                    raise self.away(again) from again
                time.sleep(0.5)
            else:
                return

    def away(self, error: BaseException) -> Exception:
        """Return what to tell a person whose database or store stayed away."""
        if isinstance(error, FolderError):
            return FolderError(f"{error}; no trial is lost")
        return DatabaseAwayError(
            f"the database does not answer ({first_line(error)}); nothing is lost, "
            f"`gatetune resume {self.lease.job_id}` goes on"
        )
