"""What a command talks to: the installation of this machine, or a service elsewhere."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.ends import one_message
from search.common.home import Home

if TYPE_CHECKING:
    from search.commands.desk import Desk

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="GATETUNE_SERVER",
        help="A service, such as http://127.0.0.1:8765; else this machine's installation.",
    ),
]


@contextmanager
def desk(server: str | None) -> Iterator["Desk"]:
    """Yield what answers: the service at ``server``, else this installation."""
    with one_message():
        opened: Desk
        if server:
            from search.commands.remote import Remote

            opened = Remote(server, os.environ.get("GATETUNE_TOKEN") or None)
        else:
            from search.commands.local import Local

            opened = Local(Home.from_environment())
        try:
            yield opened
        finally:
            opened.close()
