"""The commands about models that jobs have found."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from search.commands.ends import (
    FAILED,
    WRONG,
    AsJson,
    Key,
    PageConsole,
    fail,
    one_message,
    print_json,
)
from search.commands.opening import Server, desk
from search.common.home import Home

if TYPE_CHECKING:
    from search.report.report import Form


FORMS: "dict[str, Form]" = {".md": "markdown", ".html": "html"}
"""What a report's file holds, by the end of its name."""


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder that `fetch` wrote, or a job.")
    ],
    path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A file of sequences, labelled or not.")
    ],
    overrides: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="data.KEY=VALUE", help="Name a column of INPUT: data.sequence=walk."
        ),
    ] = [],  # noqa: B006 - Typer reads it
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Where predictions go: .csv, .parquet or .json."),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Ask a model about the sequences of a file."""
    from search.commands.prediction_screen import prediction_page
    from search.winner.predicting import check_output, columns_said
    from search.winner.predicting import predict as answer

    with one_message():
        check_output(to)
        found = answer(Home.from_environment(), model, path, columns_said(path, overrides))
        if to is not None:
            found.write(to)
    if as_json:
        print_json({"predictions": found.table().to_pylist(), "scores": found.scores})
    else:
        prediction_page(PageConsole(), found, to)


def report(
    key: Key,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="A page with pictures (.html), or Markdown (.md)."
        ),
    ] = None,
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say what a job has found: how sure it is, what mattered, what would help, what it costs."""
    form = form_of(to)
    with desk(server) as opened:
        told = opened.report(key, "json" if as_json and to is None else form)
        if to is not None:
            write(to, told)
    if to is not None:
        print_json({"file": str(to)}) if as_json else typer.echo(f"{to} is written")
    elif as_json:
        print_json(json.loads(told))
    else:
        from rich.markdown import Markdown

        PageConsole().print(Markdown(told))


def form_of(to: Path | None) -> "Form":
    """Return what a report's file is to hold, by its name."""
    if to is None:
        return "markdown"
    if to.suffix not in FORMS:
        fail(f"--to must name a file that ends in .html or .md, but got {str(to)!r}", WRONG)
    return FORMS[to.suffix]


def write(to: Path, text: str) -> None:
    """Write a report's file."""
    from search.jobs.jobs import NotPossibleError

    try:
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotPossibleError(f"{to} must be writable, but {error.strerror}") from error


def reproduce(
    key: Key,
    trial: Annotated[
        int | None,
        typer.Argument(metavar="[TRIAL]", help="A trial of the search; the winner without it."),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Train a trial again from its record alone, and compare every epoch with what was reported.

    Exit code 0 only if all numbers are equal, bit for bit.
    """
    from search.commands.reproducing_screen import ReproductionPage
    from search.jobs.jobs import open_existing
    from search.winner.reproducing import record_of
    from search.winner.reproducing import reproduce as train

    with one_message():
        home = Home.from_environment()
        store = open_existing(home)
        try:
            record = record_of(store, key, trial)
        finally:
            store.close()
        page = ReproductionPage(Console(highlight=False, stderr=as_json), record)
        for epoch in train(home, record):
            page.epoch(epoch)
    if as_json:
        print_json(page.as_json())
    else:
        page.end()
    sys.exit(0 if page.is_equal else FAILED)


def fetch(  # noqa: PLR0913 - options
    key: Key,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder to write into.")],
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="Only pt2, onnx or safetensors."),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option("--trial", metavar="N", help="A trial of the search, not the winner."),
    ] = None,
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write a job's best model, its configuration, metrics, card and report into a folder."""
    from search.winner.fetching import FORMATS, Choice

    if form is not None and form not in FORMATS:
        fail(f"--format must be one of {', '.join(FORMATS)}, but got {form!r}", WRONG)
    with desk(server) as opened:
        files = opened.fetch(key, to, Choice(form, trial))
    if as_json:
        print_json({"folder": str(to), "files": files})
    else:
        typer.echo(f"{to}/: {', '.join(files)}")
        if "weights.safetensors" in files:
            typer.echo(f"`gatetune predict {shlex.quote(str(to))} FILE` asks it")


def promote(key: Key, server: Server = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Make a job's model the champion of its name; an earlier job's, to roll back."""
    with desk(server) as opened:
        model = opened.promote(key)
    if as_json:
        print_json(model)
    else:
        typer.echo(f"models:/{model['name']}@champion is version {model['version']} now")


def champion(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name, as jobs have it.")],
    server: Server = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the champions of a name, the present one first: since when, by whom, and why."""
    from search.commands.screens import champion_list

    with desk(server) as opened:
        found = opened.champions(name)
    if as_json:
        print_json(found)
    else:
        champion_list(PageConsole(), name, found)
