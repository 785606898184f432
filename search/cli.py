"""The commands. Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from search import home, spec, store

app = typer.Typer(
    name="gatetune",
    help="Hyperparameter search for LSTM and GRU sequence models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

FAILED = 1
WRONG = 2
INTERRUPTED = 130

Key = Annotated[
    str, typer.Argument(metavar="JOB", help="A job's id, or a name for its newest job.")
]
Document = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job document.")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of the document."),
]
Repair = Annotated[bool, typer.Option("--repair", help="Mend what can be mended, look again.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@contextmanager
def one_message() -> Iterator[None]:
    """Turn every fault that a person can mend into one message and exit code 2."""
    from search.jobs import JobNotFoundError, NotPossibleError
    from search.lease import LeaseHeldError, LeaseLostError
    from search.start import TrackingUnreachableError

    try:
        yield
    except (LeaseLostError, store.DatabaseAwayError) as error:
        fail(str(error), FAILED)
    except (
        spec.SpecError,
        home.SettingsError,
        store.StoreError,
        TrackingUnreachableError,
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
    from search.cluster import ClusterError
    from trainables.datasets import DatasetError

    with one_message():
        try:
            yield
        except (ClusterError, DatasetError) as error:
            fail(str(error), WRONG)


def fail(message: str, code: int) -> None:
    """Say what is wrong and end."""
    typer.echo(f"gatetune: {message}", err=True)
    sys.exit(code)


def print_json(content: Any) -> None:
    """Print JSON for programs."""
    typer.echo(json.dumps(content, indent=2))


@contextmanager
def reading() -> Iterator[Any]:
    """Yield a reader of the installation's jobs; on a fault, print one message."""
    from search.jobs import Reader
    from search.start import open_existing

    with one_message():
        opened = open_existing(home.Home.from_environment())
        reader = Reader(opened)
        try:
            yield reader
        finally:
            reader.close()
            opened.close()


def finish(shown: dict[str, Any], *, as_json: bool) -> None:
    """Print how a run ended and exit accordingly."""
    from search.screens import outcome

    if as_json:
        print_json(shown)
    else:
        outcome(Console(highlight=False), shown)
    sys.exit({"finished": 0, "stopped": INTERRUPTED}.get(shown["status"], FAILED))


@app.command(epilog="Example: `gatetune launch jobs/mnist-5k.yaml --set budget.trials=20`")
def launch(document: Document, overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006, FBT002 - Typer reads both
    """Run the search of a job document, here and now."""
    from search.start import launch as launch_job

    with one_message_of_a_run():
        shown = launch_job(document, overrides, console=Console(stderr=as_json))
    finish(shown, as_json=as_json)


@app.command(epilog="Example: `gatetune resume mnist-5k-7f3a`")
def resume(key: Key, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Go on with a job that was stopped or whose driver died."""
    from search.start import resume as resume_job

    with one_message_of_a_run():
        shown = resume_job(key, console=Console(stderr=as_json))
    finish(shown, as_json=as_json)


@app.command(epilog="Example: `gatetune stop mnist-5k-7f3a`")
def stop(key: Key, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Ask a running job to stop; `resume` finishes it later."""
    from search.jobs import await_stop, request_stop

    with reading() as reader:
        job = request_stop(reader.store, key)
        stopped = await_stop(reader.store, job.id)
        if as_json:
            print_json(reader.show(stopped))
        else:
            typer.echo(f"job {job.id} is stopped; `gatetune resume {job.id}` goes on")


@app.command(epilog="Example: `gatetune jobs --json | jq -r .[0].id`")
def jobs(as_json: AsJson = False) -> None:  # noqa: FBT002
    """List the jobs, newest first."""
    from search.screens import job_list

    listed: list[dict[str, Any]] = []
    with one_message():
        launched = store.Store.exists(home.Home.from_environment().database_url)
    if launched:
        with reading() as reader:
            listed = reader.jobs()
    if as_json:
        print_json(listed)
    else:
        job_list(Console(highlight=False), listed)


@app.command(epilog="Example: `gatetune show mnist-5k`")
def show(key: Key, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show one job: how far it is, what it found."""
    from search.jobs import find
    from search.screens import job_page

    with reading() as reader:
        shown = reader.show(find(reader.store, key))
    if as_json:
        print_json(shown)
    else:
        job_page(Console(highlight=False), shown)


@app.command(epilog="Example: `gatetune trials mnist-5k --json`")
def trials(key: Key, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List a job's trials with their parameters and how each one ended."""
    from search.jobs import find
    from search.screens import trial_list

    with reading() as reader:
        job = find(reader.store, key)
        listed = reader.trials(job)
    if as_json:
        print_json(listed)
    else:
        trial_list(Console(highlight=False), job.id, listed)


@app.command(epilog="Example: `gatetune fetch mnist-5k --to best-model`")
def fetch(
    key: Key,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder to write into.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write a job's best model, its configuration, metrics and model card into a folder."""
    from search.fetching import fetch_model

    with reading() as reader:
        files = fetch_model(reader.store, home.Home.from_environment(), key, to)
    if as_json:
        print_json({"folder": str(to), "files": files})
    else:
        typer.echo(f"{to}/: {', '.join(files)}")


@app.command(epilog="Example: `gatetune check jobs/mnist-5k.yaml`")
def check(document: Document, overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006, FBT002
    """Check a job document without running it."""
    from search.screens import document_page

    with one_message():
        job = spec.read_job(document, overrides)
    if as_json:
        print_json(json.loads(job.to_json()))
    else:
        document_page(Console(highlight=False), job)


@app.command(epilog="Example: `gatetune doctor mnist-5k-7f3a --repair`")
def doctor(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="A job's id or name; all jobs without it."),
    ] = None,
    repair: Repair = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Check that study, journal, MLflow and files of a job agree. Exit code 0 only if all do."""
    from search.doctor.screen import page, run

    with one_message():
        report = run(home.Home.from_environment(), key, repair=repair, quiet=as_json)
    if as_json:
        print_json(report.as_json())
    else:
        page(Console(highlight=False), report, repair=repair)
    sys.exit(0 if report.agree else FAILED)


@app.command(epilog="Example: `gatetune up --port 5000`")
def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="First port to try.")] = 5000,
) -> None:
    """Serve the MLflow UI of this installation on this machine, until Ctrl-C.

    Delivers what jobs that ended without MLflow, or whose driver died, still have to tell it.
    """
    from search.serving import ServingError, serve

    with one_message():
        try:
            installation = home.Home.from_environment()
            sys.exit(serve(installation, port, lambda: settle(installation)))
        except ServingError as error:
            fail(str(error), FAILED)


def settle(installation: home.Home) -> None:
    """Settle the jobs whose driver is gone, and say what was done; the server runs on anyway."""
    from search.doctor.screen import line
    from search.doctor.settling import settle as settle_jobs
    from search.lease import LeaseLostError

    console = Console(highlight=False)
    try:
        for report in settle_jobs(installation):
            console.print(line(report), soft_wrap=True)
    except (store.StoreError, LeaseLostError) as error:
        console.print(f"not every job could be settled: {error}", soft_wrap=True, markup=False)


def main() -> None:
    """Run the command line."""
    app()
