"""How commands end: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, Any, NoReturn

import typer
from rich.console import Console

from search.common.texts import readable

FAILED = 1
WRONG = 2
INTERRUPTED = 130

Key = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or a name for its newest job.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


class PageConsole(Console):
    """A console of what is read, whose reader may have seen enough, as `head` has."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        """Print nothing more; how the command ends is as it would be."""
        silence(self.file)


class RunConsole(Console):
    """A console whose reader may go away: the job then stops as when its terminal is closed.

    Beside JSON, what it prints on standard error is not what the command is run for.
    """

    def on_broken_pipe(self) -> None:
        """Print nothing more, and ask for the stop; without a job that could be asked, end."""
        self.quiet = True
        silence(self.file)
        if self.stderr:
            return
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            sys.exit(INTERRUPTED)
        signal.raise_signal(signal.SIGHUP)


def silence(file: IO[str]) -> None:
    """Let what is written to a file whose reader went away go nowhere, at the process's end too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())
    os.close(nowhere)


@contextmanager
def one_message() -> Iterator[None]:
    """Turn every fault that a person can mend into one message and exit code 2."""
    from search.commands.desk import ServerError
    from search.common.faults import SpecError
    from search.common.home import SettingsError
    from search.database.lease import LeaseHeldError, LeaseLostError
    from search.database.store import DatabaseAwayError, StoreError
    from search.jobs.jobs import JobNotFoundError, NotPossibleError
    from trainables.faults import DatasetError

    try:
        yield
    except (LeaseLostError, DatabaseAwayError) as error:
        fail(str(error), FAILED)
    except ServerError as error:
        fail(str(error), WRONG if error.asked_wrong else FAILED)
    except (
        SpecError,
        DatasetError,
        SettingsError,
        StoreError,
        JobNotFoundError,
        NotPossibleError,
        LeaseHeldError,
    ) as error:
        fail(str(error), WRONG)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def one_message_of_a_run() -> Iterator[None]:
    """The same for commands that train, whose faults live in libraries that load slowly."""
    from search.driver.cluster import ClusterError
    from search.driver.start import TrackingUnreachableError

    with one_message():
        try:
            yield
        except (ClusterError, TrackingUnreachableError) as error:
            fail(str(error), WRONG)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end."""
    typer.echo(f"gatetune: {readable(message)}", err=True)
    sys.exit(code)


def print_json(content: Any) -> None:
    """Print JSON for programs."""
    try:
        typer.echo(json.dumps(content, indent=2))
    except BrokenPipeError:  # who reads has seen enough
        silence(sys.stdout)
