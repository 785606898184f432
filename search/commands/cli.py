"""The commands about jobs, and those that run the service."""

import errno
import io
import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from search.commands.ends import (
    FAILED,
    INTERRUPTED,
    WRONG,
    AsJson,
    Key,
    PageConsole,
    RunConsole,
    fail,
    one_message,
    one_message_of_a_run,
    print_json,
)
from search.commands.model_commands import champion, fetch, predict, promote, report, reproduce
from search.commands.opening import Server, desk
from search.commands.token_commands import token
from search.common.garbage import collect_seldom
from search.common.home import Home

app = typer.Typer(
    name="gatetune",
    help="Hyperparameter search for LSTM and GRU sequence models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(token, name="token")


def print_version(asked: bool) -> None:  # noqa: FBT001 - as Typer calls it
    """Print which Gatetune this is, and end."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"gatetune {version('gatetune')}")
        raise typer.Exit


@app.callback()
def gatetune(
    version: Annotated[  # noqa: FBT002 - its callback reads it
        bool,
        typer.Option("--version", is_eager=True, callback=print_version, help="Print the version."),
    ] = False,
) -> None:
    """Take what is said of no command."""


Document = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job document.")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of the document."),
]
Repair = Annotated[bool, typer.Option("--repair", help="Mend what can be mended, look again.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for a service's job.")]
Priority = Annotated[
    int,
    typer.Option(
        "--priority", min=-10, max=10, help="The highest of a service's queue goes first."
    ),
]


def finish(shown: dict[str, Any], server: str | None, *, as_json: bool) -> None:
    """Print how a run ended and exit accordingly."""
    from search.commands.screens import outcome

    if as_json:
        print_json(shown)
    else:
        outcome(PageConsole(), shown, server)
    codes = {"finished": 0, "queued": 0, "running": 0, "stopped": INTERRUPTED}
    sys.exit(codes.get(shown["status"], FAILED))


@app.command(epilog="Example: `gatetune launch jobs/mnist-5k.yaml --set budget.trials=20`")
def launch(  # noqa: PLR0913 - its options
    document: Document,
    overrides: Overrides = [],  # noqa: B006 - Typer reads it
    detach: Detach = False,  # noqa: FBT002
    priority: Priority = 0,
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Run the search of a job document: here and now, or through a service's queue."""
    with one_message_of_a_run(), desk(server) as opened:
        shown = opened.launch(
            document, overrides, RunConsole(stderr=as_json), detach=detach, priority=priority
        )
    finish(shown, server, as_json=as_json)


@app.command(epilog="Example: `gatetune resume mnist-5k-7f3a`")
def resume(
    key: Key,
    detach: Detach = False,  # noqa: FBT002
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Go on with a job that was stopped, that failed, or whose driver died."""
    with one_message_of_a_run(), desk(server) as opened:
        shown = opened.resume(key, RunConsole(stderr=as_json), detach=detach)
    finish(shown, server, as_json=as_json)


@app.command(epilog="Example: `gatetune stop mnist-5k-7f3a`")
def stop(key: Key, server: Server = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Ask a job to stop, and wait until it has; `resume` finishes it later."""
    with desk(server) as opened:
        shown = opened.stop(key)
    if as_json:
        print_json(shown)
    else:
        on = f"; `gatetune resume {shown['id']}` goes on" if shown["status"] == "stopped" else ""
        typer.echo(f"job {shown['id']} is {shown['status']}{on}")


@app.command(epilog="Example: `gatetune delete mnist-5k-7f3a`")
def delete(
    key: Annotated[str, typer.Argument(metavar="ID", help="A job's id; a name will not do.")],
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Delete a job that has ended with its runs, model, study and files, for good."""
    with desk(server) as opened:
        deleted = opened.delete(key)
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"job {deleted} is deleted")


@app.command(epilog="Example: `gatetune jobs --json | jq -r .[0].id`")
def jobs(  # noqa: PLR0913 - each filters
    status: Annotated[str | None, typer.Option(help="Only jobs of this status.")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only jobs of this owner.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the jobs, newest first."""
    from search.commands.screens import job_list
    from search.jobs.listing import STATUSES, Wanted

    if status is not None and status not in STATUSES:
        fail(f"--status must be one of {', '.join(STATUSES)}, but got {status!r}", WRONG)
    with desk(server) as opened:
        listed, more = opened.jobs(Wanted(status, name, owner, limit))
        place = opened.place
    if as_json:
        print_json(listed)
    else:
        job_list(PageConsole(), listed, place, chosen=any((status, name, owner)))
    if more is not None:
        typer.echo("there are more; --limit N lists them, --status and --name choose", err=True)


@app.command(epilog="Example: `gatetune show mnist-5k`")
def show(key: Key, server: Server = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Show one job: how far it is, what it found."""
    from search.commands.screens import job_page

    with desk(server) as opened:
        shown = opened.show(key)
    if as_json:
        print_json(shown)
    else:
        job_page(PageConsole(), shown)


@app.command(epilog="Example: `gatetune top mnist-5k`")
def top(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="A job's id or name; all jobs without it."),
    ] = None,
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Watch all jobs, or one until it ends. Where no terminal is, show them once."""
    from search.commands.top import view_of, watch
    from search.commands.top_screen import Room

    console = Console(highlight=False)
    with desk(server) as opened:
        view = view_of(opened, key)
        if as_json:
            print_json(view.read())
        elif not console.is_terminal:
            console.print(view.draw(view.read(), Room(console.width, None)))
        elif (shown := watch(view, console)) is not None:
            finish(shown["job"], server, as_json=False)


@app.command(epilog="Example: `gatetune trials mnist-5k --json`")
def trials(key: Key, server: Server = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List a job's trials with their parameters and how each one ended."""
    from search.commands.screens import trial_list

    with desk(server) as opened:
        job_id, listed = opened.trials(key)
    if as_json:
        print_json(listed)
    else:
        trial_list(PageConsole(), job_id, listed)


@app.command(epilog="Example: `gatetune check jobs/mnist-5k.yaml`")
def check(document: Document, overrides: Overrides = [], as_json: AsJson = False) -> None:  # noqa: B006, FBT002
    """Check a job document, and the data that it names, without running it."""
    from search.commands.screens import document_page
    from search.document.spec import read_job
    from search.jobs.loading import check_source, load_data
    from trainables.sources import DOWNLOADED

    with one_message():
        job = read_job(document, overrides)
        check_source(job.data)
        if job.data.source not in DOWNLOADED:
            load_data(job, Home.from_environment())
    if as_json:
        print_json(json.loads(job.to_json()))
    else:
        document_page(PageConsole(), job)


@app.command(epilog="Example: `gatetune init walks.csv`")
def init(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data file, or its folder.")],
    overrides: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Say what cannot be guessed: data.label=price."
        ),
    ] = [],  # noqa: B006 - Typer reads it
    to: Annotated[
        Path | None, typer.Option("--to", metavar="JOB.yaml", help="Where the document goes.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Look at a data file and write a job document beside it that runs as it is."""
    from search.commands.survey_screen import survey_page
    from search.drafting.drafting import draft

    with one_message():
        found, document = draft(data, overrides, to)
    if as_json:
        print_json({"document": str(document), "found": found.as_json()})
        return
    console = PageConsole()
    survey_page(console, found)
    command = f"gatetune launch {shlex.quote(str(document))}"
    written = f"\n[green]{escape(str(document))}[/] is written; `{escape(command)}` runs it"
    console.print(written, soft_wrap=True)


app.command(epilog="Example: `gatetune fetch mnist-5k --to best-model`")(fetch)
app.command(epilog="Example: `gatetune predict model/ walks.csv --to answers.csv`")(predict)
app.command(epilog="Example: `gatetune reproduce mnist-5k-7f3a 12`")(reproduce)
app.command(epilog="Example: `gatetune report mnist-5k --to report.html`")(report)
app.command(epilog="Example: `gatetune promote mnist-5k-7f3a`")(promote)
app.command(epilog="Example: `gatetune champion mnist-5k`")(champion)


@app.command(epilog="Example: `gatetune doctor mnist-5k-7f3a --repair`")
def doctor(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="A job's id or name; all jobs without it."),
    ] = None,
    repair: Repair = False,  # noqa: FBT002
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Check that study, journal, MLflow and files of a job agree. Exit code 0 only if all do."""
    from search.upkeep.doctor.screen import page

    with desk(server) as opened:
        report = opened.doctor(key, repair=repair, quiet=as_json)
    if as_json:
        print_json(report)
    else:
        page(PageConsole(), report, repair=repair)
    sys.exit(0 if report["agree"] else FAILED)


@app.command(epilog="Example: `gatetune up --port 8765`")
def up(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port; on loopback the first to try.")
    ] = 8765,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any but loopback needs tokens, as does GATETUNE_SECURE=yes."
        ),
    ] = "127.0.0.1",
    mlflow_port: Annotated[
        int, typer.Option(min=1, max=65535, help="First port to try for MLflow's UI.")
    ] = 5000,
) -> None:
    """Serve this installation until Ctrl-C: queue, console, REST and the MLflow UI.

    Goes on with the jobs of the queue, and delivers what jobs that ended without MLflow, or whose
    driver died, still have to tell it.
    """
    from search.service.api.settings import Settings
    from search.service.service import up as serve
    from search.service.serving import ServingError

    with one_message():
        try:
            settings = Settings.from_environment(host, port)
            installation = Home.from_environment()
            sys.exit(serve(installation, settings, mlflow_port, Console(highlight=False)))
        except ServingError as error:
            fail(str(error), FAILED)


@app.command(epilog="Example: `gatetune migrate`")
def migrate(as_json: AsJson = False) -> None:  # noqa: FBT002
    """Bring the databases of an older version up to date; back them up first.

    That is Gatetune's, and MLflow's where it is a file of this installation.
    """
    from search.database.storage import using_storage
    from search.database.store import HEAD, Store
    from search.tracking.ownfile import UpgradeError, upgrade

    with one_message():
        installation = Home.from_environment()
        installation.create()
        opened = Store.open(installation.database_url, upgrade=True)
        logging.disable(logging.INFO)  # Optuna's migration sets up loggers, whatever they are here
        try:
            with using_storage(opened) as storage:
                storage.upgrade()
        finally:
            logging.disable(logging.NOTSET)
            opened.close()
        try:
            upgraded = upgrade(installation)
        except UpgradeError as error:
            fail(str(error), FAILED)
    if as_json:
        print_json({"revision": HEAD})
        return
    typer.echo(f"{opened.address} is of version {HEAD}")
    if upgraded:
        typer.echo(f"{installation.tracking_address} is of the version of the MLflow here")


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may not know every letter
        sys.stdout.reconfigure(errors="replace")
    collect_seldom()
    try:
        app()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        fail(f"{error.filename or 'what this writes'}: {error.strerror}", FAILED)
