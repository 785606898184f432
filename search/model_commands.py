"""The commands about models that jobs have found."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from search.ends import AsJson, one_message, print_json
from search.home import Home


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
    from search.predicting import check_output, columns_said
    from search.predicting import predict as answer
    from search.prediction_screen import prediction_page

    with one_message():
        check_output(to)
        found = answer(Home.from_environment(), model, path, columns_said(path, overrides))
        if to is not None:
            found.write(to)
    if as_json:
        print_json({"predictions": found.table().to_pylist(), "scores": found.scores})
    else:
        prediction_page(Console(highlight=False), found, to)
