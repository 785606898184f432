"""Installations and databases that tests copy, since to make them takes long."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from search.common.home import Home
from search.database.storage import open_storage
from search.database.store import Store
from search.tracking.tracking import Tracking, client_of
from tests.conftest import choose_home


def installed() -> Home:
    """Create the installation that the `home` fixture chose."""
    home = Home.from_environment()
    home.create()
    home.tracking_path.write_bytes(empty_mlflow())
    if home.database_url.startswith("sqlite"):
        write_tables(home.database_url)
    return home


@contextmanager
def installed_in(folder: Path) -> Iterator[tuple[Home, Store]]:
    """Create an installation in a folder, to be filled, and then copied."""
    with pytest.MonkeyPatch.context() as patch:
        choose_home(patch, folder)
        home = installed()
        with closing(Store.open(home.database_url)) as store:
            yield home, store
        client = client_of(home)
        client._tracking_client.store.engine.dispose()
        client._get_registry_client().store.engine.dispose()  # type: ignore[no-untyped-call]


def write_tables(url: str) -> None:
    """Make the SQLite file at a URL with our tables and Optuna's."""
    Path(url.removeprefix("sqlite:///")).write_bytes(empty_tables())


@cache
def empty_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gatetune.db"
        make_tables(f"sqlite:///{path}")
        return path.read_bytes()


def make_tables(url: str) -> None:
    store = Store.open(url)
    open_storage(store).engine.dispose()
    store.close()


class Databases:
    """One database on a PostgreSQL server, which is made anew for each test.

    Args:
        server: URL of another one.
    """

    def __init__(self, server: str) -> None:
        self.place = server.rpartition("/")[0]
        self.server = psycopg.connect(server.replace("+psycopg", ""), autocommit=True)
        self.make("prepared")
        make_tables(f"{self.place}/prepared")

    def make(self, name: str, model: str = "template1") -> str:
        """Make it like another one, whoever still uses it, and return its URL."""
        drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
        self.server.execute(drop)
        create = SQL("CREATE DATABASE {} TEMPLATE {}")
        self.server.execute(create.format(Identifier(name), Identifier(model)))
        return f"{self.place}/{name}"


@cache
def empty_mlflow() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        uri = f"sqlite:///{path / 'mlflow.db'}"
        home = Home(path, "", uri, None, folder, path)
        tracking = Tracking(home, "none", "Default")
        tracking.client._tracking_client.store.engine.dispose()
        return home.tracking_path.read_bytes()
