"""The database, and the one context manager that opens a session on it."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Engine,
    ExceptionContext,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from search.common.texts import first_line
from search.database.tables import JournalRow, Run

VERSION_TABLE = "gatetune_alembic_version"
HEAD = "0006"
"""Newest revision of our migrations; a test holds it against the scripts."""


class StoreError(RuntimeError):
    """The database cannot be reached or used; the message says what was tried."""


class DatabaseAwayError(StoreError):
    """The database does not answer; what was being written may be written again later."""


SILENT = (OperationalError, InterfaceError, InternalError)
"""What SQLAlchemy raises while the database does not answer, or not as the one that may be written
to: PostgreSQL's is read only while it fails over, and ends what has stood idle for too long."""

STANDSTILL_S = 60
"""How long a server lets a transaction stand idle: that of a machine that was lost, or sleeps,
holds locks for which all others wait."""


def connect(url: str) -> Engine:
    """Return an engine for ``url`` with this project's settings; opens no connection yet."""
    engine = create_engine(url, **settings_of(url))
    tune(engine)
    return engine


def settings_of(url: str) -> dict[str, Any]:
    """Return how to connect: no wait on a database that has fallen silent is without an end."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    silence = {
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # A cluster made without a locale would hand out bytes.
        "client_encoding": "utf8",
    }
    return {"pool_pre_ping": True, "connect_args": silence}


def tune(engine: Engine) -> None:
    """Let the connections of an engine have this project's settings."""
    if engine.dialect.name == "sqlite":
        tune_sqlite(engine)
    else:
        tune_postgresql(engine)


def tune_postgresql(engine: Engine) -> None:
    """Let the server give up connections whose other side is gone; it would wait for two hours."""
    settings = {
        "idle_in_transaction_session_timeout": STANDSTILL_S * 1000,
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }

    statements = "; ".join(f"SET {name} = {value}" for name, value in settings.items())

    @event.listens_for(engine, "connect")
    def set_all(connection: Any, _record: Any) -> None:
        # Not as options of the start, which poolers refuse.
        with connection.cursor() as cursor:
            cursor.execute(statements)
        connection.commit()


def tune_sqlite(engine: Engine) -> None:
    """Let readers and the writer work at once, and let no commit be lost when power fails."""

    @event.listens_for(engine, "handle_error")
    def name_damage(context: ExceptionContext) -> None:
        if is_damage(context.original_exception):
            context.chained_exception = damaged(engine, context.original_exception)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        try:
            use_wal(cursor)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise damaged(engine, error) from error
            raise
        # NORMAL would lose the last commits when power fails, though not at a kill; MLflow and
        # the checkpoints would be ahead of the study then, and epochs would be told twice.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that a file is not as it was written."""
    return "malformed" in str(error) or "not a database" in str(error)


def damaged(engine: Engine, error: BaseException) -> StoreError:
    """Return what to raise where a file is not as it was written."""
    return StoreError(
        f"cannot use the database {engine.url}: it is damaged ({first_line(error)}); restore a "
        "backup of it"
    )


def use_wal(cursor: sqlite3.Cursor, patience_s: float = 10.0) -> None:
    """Switch a file to WAL; SQLite itself does not wait where others do the same just now."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


ALEMBIC = threading.Lock()
"""Alembic, which makes our tables and Optuna's, has one context for all threads and databases."""


class Store:
    """Access to Gatetune's tables in one database, which Optuna's studies share."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = connect(url)
        self.has_studies = False
        """Whether Optuna's tables are known to be there, and of its version."""

    @classmethod
    def open(cls, url: str, *, upgrade: bool = False) -> "Store":
        """Open the database at ``url``, and make our tables where there are none.

        Args:
            url: where it is.
            upgrade: whether to bring tables of an older version up to date.

        Raises:
            StoreError: it cannot be reached, or it is of another version than this program.
        """
        store = cls(url)
        try:
            store.migrate(upgrade=upgrade)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            store.close()
            raise StoreError(
                f"cannot use the database {store.address}: {first_line(error)}{store.bar()}"
            ) from error
        except StoreError:
            store.close()
            raise
        return store

    @classmethod
    def exists(cls, url: str) -> bool:
        """Whether there is anything to read at ``url``; a missing SQLite file is not created."""
        return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def bar(self) -> str:
        """Return why a SQLite file cannot be opened, as far as SQLite itself does not say it."""
        folder = Path(self.engine.url.database or "").parent
        is_file = self.engine.dialect.name == "sqlite"
        shut = is_file and folder.is_dir() and not os.access(folder, os.W_OK)
        return f"; {folder} cannot be written to, as on a read-only disk" if shut else ""

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session; commit at the end, roll back on any exception.

        Raises:
            DatabaseAwayError: the database went away.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SILENT as error:
            raise DatabaseAwayError(f"database {self.address}: {first_line(error)}") from error

    def migrate(self, *, upgrade: bool) -> None:
        """Create our tables, or upgrade them where that is asked for.

        Raises:
            StoreError: they are of a newer version than this program, or of an older one.
        """
        revision = self.revision()
        if revision == HEAD:
            return
        fault = f"cannot use the database {self.address}: it is of version {revision}, "
        if revision is not None and revision > HEAD:
            raise StoreError(f"{fault}newer than this program's {HEAD}")
        if revision is not None and not upgrade:
            raise StoreError(
                f"{fault}older than this program's {HEAD}; `gatetune migrate` upgrades it, once it "
                "is backed up and every `up` has ended"
            )
        # Alembic takes half a second to import, which every command would pay.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.tables_locked(), self.engine.begin() as connection:
            if self.engine.dialect.name == "sqlite":
                # Python begins no transaction before it makes tables: each would stay after a kill.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def tables_locked(self) -> Iterator[None]:
        """Let nobody else make tables meanwhile, ours or Optuna's: two first starts collide."""
        with ALEMBIC:
            if self.engine.dialect.name == "postgresql":
                with self.engine.begin() as connection:
                    # It stands idle for as long as a migration takes.
                    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                    connection.execute(text("SELECT pg_advisory_xact_lock(726254)"))
                    yield
                return
            folder = os.open(Path(self.engine.url.database or "").parent, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)

    def revision(self) -> str | None:
        """Return the revision of our tables, or None where there are none."""
        with self.engine.connect() as connection:
            if not self.engine.dialect.has_table(connection, VERSION_TABLE):
                return None
            return connection.execute(
                text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
            ).scalar()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def undelivered(store: Store, job_id: str) -> int:
    """Return how many epochs and statuses of a job MLflow does not have yet."""
    epochs = select(func.count()).where(JournalRow.job_id == job_id, ~JournalRow.delivered)
    runs = select(func.count()).where(Run.job_id == job_id, Run.is_undelivered)
    with store.session() as session:
        return (session.scalar(epochs) or 0) + (session.scalar(runs) or 0)


def is_storable(text: str) -> bool:
    """Whether a database could hold a text; to ask for another one is an error, not an absence."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)
