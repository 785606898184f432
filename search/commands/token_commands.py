"""The commands about tokens, which work on the database itself."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.ends import WRONG, AsJson, PageConsole, fail, one_message, print_json
from search.common.home import Home

if TYPE_CHECKING:
    from search.database.store import Store

token = typer.Typer(no_args_is_help=True, help="Make and revoke the tokens of the service.")


@contextmanager
def database() -> Iterator["Store | None"]:
    """Yield the database of an installation that exists, None where there is none."""
    from search.database.store import Store

    with one_message():
        url = Home.from_environment().database_url
        with closing(Store.open(url)) if Store.exists(url) else nullcontext() as opened:
            yield opened


@token.command("create", epilog="Example: `gatetune token create --owner ada --role launch`")
def create_token(
    owner: Annotated[str, typer.Option(help="Whose token it is.")] = "admin",
    role: Annotated[str, typer.Option(help="view, launch or admin.")] = "launch",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make a token and print its secret, which is shown this once."""
    from search.database.store import Store
    from search.service import tokens

    try:
        tokens.check(owner, role)
    except tokens.TokenError as error:
        fail(f"--{error}", WRONG)
    with one_message():
        installation = Home.from_environment()
        installation.create()
        with closing(Store.open(installation.database_url)) as opened:
            made, secret = tokens.create(opened, owner, role)
    if as_json:
        print_json({"id": made.id, "owner": made.owner, "role": made.role, "token": secret})
    else:
        typer.echo(secret)


@token.command("list", epilog="Example: `gatetune token list`")
def list_tokens(as_json: AsJson = False) -> None:  # noqa: FBT002
    """List the tokens; their secrets are kept nowhere."""
    from search.commands.screens import token_list
    from search.service import tokens

    with database() as opened:
        listed = tokens.listed(opened) if opened else []
    if as_json:
        print_json(listed)
    else:
        token_list(PageConsole(), listed)


@token.command("revoke", epilog="Example: `gatetune token revoke 5f0c1a9b`")
def revoke_token(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Make a token useless from now on."""
    from search.service import tokens

    with database() as opened:
        if opened is None:
            fail(f"no token has the id {token_id!r}; `gatetune token list` has all", WRONG)
        try:
            revoked = tokens.revoke(opened, token_id)
        except tokens.TokenError as error:
            fail(str(error), WRONG)
    if as_json:
        print_json({"id": revoked.id, "revoked_at": revoked.revoked_at})
    else:
        typer.echo(f"token {revoked.id} of {revoked.owner} is revoked")
