"""The commands' answers from the installation on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from search.common.home import Home
from search.common.processes import user
from search.database.store import Store
from search.jobs import jobs
from search.jobs.listing import Wanted, page
from search.winner.fetching import REPORTS, Choice, fetch_model, write_fetched

if TYPE_CHECKING:
    from search.report.report import Form


class Local:
    """An installation, in this process."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.opened: Store | None = None

    @property
    def place(self) -> str:
        """The folder of the installation."""
        return str(self.home.path)

    @property
    def store(self) -> Store:
        """The database of an installation that exists."""
        self.opened = self.opened or jobs.open_existing(self.home)
        return self.opened

    def launch(
        self,
        document: Path,
        overrides: Sequence[str],
        console: Console,
        *,
        detach: bool,
        priority: int = 0,
    ) -> dict[str, Any]:
        """Run a job in this process."""
        from search.driver import start

        self.check_here(detach=detach, priority=priority)
        return start.launch(document, overrides, console=console)

    def resume(self, key: str, console: Console, *, detach: bool) -> dict[str, Any]:
        """Go on with a job in this process."""
        from search.driver import start

        self.check_here(detach=detach)
        return start.resume(key, console=console)

    @staticmethod
    def check_here(*, detach: bool, priority: int = 0) -> None:
        """Refuse what a job that runs in this process cannot have: it is watched, and at once.

        Raises:
            NotPossibleError: that was asked for.
        """
        if detach or priority:
            name = "--detach" if detach else "--priority"
            raise jobs.NotPossibleError(
                f"{name} needs a service that runs the job: `gatetune up`, then --server URL"
            )

    def stop(self, key: str) -> dict[str, Any]:
        """Ask a job to stop, and wait until it has."""
        job = jobs.request_stop(self.store, key)
        return jobs.show(self.store, jobs.await_stop(self.store, job.id))

    def jobs(self, wanted: Wanted) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of jobs; none where nothing was ever launched."""
        if not Store.exists(self.home.database_url):
            return [], None
        return page(self.store, wanted)

    def show(self, key: str) -> dict[str, Any]:
        """Return a job in full."""
        return jobs.show(self.store, jobs.find(self.store, key))

    def trials(self, key: str) -> tuple[str, list[dict[str, Any]]]:
        """Return a job's id and its trials."""
        job = jobs.find(self.store, key)
        return job.id, jobs.show_trials(self.store, job)

    def promote(self, key: str) -> dict[str, Any]:
        """Make a job's model the champion, by the word of this machine's user."""
        from search.winner.promotion import promote

        return promote(self.home, self.store, key, user())

    def champions(self, name: str) -> list[dict[str, Any]]:
        """Return the champions of a name."""
        from search.winner.promotion import champions

        jobs.open_existing(self.home).close()  # nothing is made where nothing was ever launched
        return champions(self.home, name)

    def report(self, key: str, form: "Form") -> str:
        """Return what a job has found."""
        from search.report.report import report

        return report(self.store, jobs.find(self.store, key), form)[form]

    def fetch(self, key: str, to: Path, choice: Choice) -> list[str]:
        """Copy a job's best model, and write its report."""
        from search.report.report import report

        job = jobs.find(self.store, key)
        if choice.trial is not None:
            from search.winner.trial_model import trial_files

            contents = trial_files(self.home, self.store, job.id, choice.trial)
            return write_fetched(contents, to, choice.form)

        def reports() -> dict[str, bytes]:
            told = report(self.store, job, *REPORTS.values())
            return {name: told[kind].encode() for name, kind in REPORTS.items()}

        return fetch_model(self.store, self.home, job.id, to, choice.form, reports)

    def delete(self, key: str) -> str:
        """Delete a job."""
        from search.upkeep.deletion import delete_by_id

        return delete_by_id(self.home, self.store, key)

    def doctor(self, key: str | None, *, repair: bool, quiet: bool) -> dict[str, Any]:
        """Examine jobs, with a bar that says how far the reading is."""
        from search.upkeep.doctor.screen import run

        return run(self.home, key, repair=repair, quiet=quiet).as_json()

    def close(self) -> None:
        """Close the database."""
        if self.opened is not None:
            self.opened.close()
