"""What the commands ask for, of an installation on this machine or of a service elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from search.jobs.listing import Wanted
from search.winner.fetching import Choice

if TYPE_CHECKING:
    from search.report.report import Form


class ServerError(RuntimeError):
    """The service does not answer, or does not do what it was asked for; the message says why."""

    def __init__(self, message: str, *, asked_wrong: bool = True, final: bool = False) -> None:
        super().__init__(message)
        self.asked_wrong = asked_wrong
        """Whether another request would be answered; else the service itself is in trouble."""
        self.final = final
        """Whether the same request would be refused again, however often it is made."""


class NameTakenError(ServerError):
    """There is a file of that name already."""


class UnansweredError(ServerError):
    """No answer came; whether the request arrived is not known."""


class Desk(Protocol):
    """Answers the commands, with the same content wherever the jobs are.

    Every method may raise `JobNotFoundError` and `NotPossibleError`, and whatever the way to the
    jobs has in store: `StoreError` here, `ServerError` elsewhere.
    """

    @property
    def place(self) -> str:
        """Where the jobs are, as a person would say it."""

    def launch(
        self,
        document: Path,
        overrides: Sequence[str],
        console: Console,
        *,
        detach: bool,
        priority: int = 0,
    ) -> dict[str, Any]:
        """Run the job of a document, and return it at its end, or at once to `detach`.

        Args:
            document: its file.
            overrides: settings that replace the document's, such as ``budget.trials=4``.
            console: where it is watched.
            detach: whether nobody waits for it.
            priority: which of a service's queue goes first, from -10 to 10.
        """

    def resume(self, key: str, console: Console, *, detach: bool) -> dict[str, Any]:
        """Go on with a job, likewise."""

    def stop(self, key: str) -> dict[str, Any]:
        """Stop a job and return it once it has stopped."""

    def jobs(self, wanted: Wanted) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of jobs in short, and the cursor of the next one."""

    def show(self, key: str) -> dict[str, Any]:
        """Return a job in full."""

    def promote(self, key: str) -> dict[str, Any]:
        """Make a job's model the champion of its name, and return the model."""

    def champions(self, name: str) -> list[dict[str, Any]]:
        """Return the champions of a model's name, the present one first."""

    def trials(self, key: str) -> tuple[str, list[dict[str, Any]]]:
        """Return a job's id and its trials."""

    def report(self, key: str, form: "Form") -> str:
        """Return what a job has found, in words."""

    def fetch(self, key: str, to: Path, choice: Choice) -> list[str]:
        """Write a job's best model into a folder and return its files."""

    def delete(self, key: str) -> str:
        """Delete a job with all that belongs to it and return its id."""

    def doctor(self, key: str | None, *, repair: bool, quiet: bool) -> dict[str, Any]:
        """Return what doctor says of a job, or of all."""

    def close(self) -> None:
        """Give back what was opened."""
