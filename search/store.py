"""Our own tables beside Optuna's, and the one context manager that opens a session on them."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    ForeignKey,
    Index,
    String,
    cast,
    create_engine,
    event,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

VERSION_TABLE = "gatetune_alembic_version"
HEAD = "0002"
"""Newest revision of our migrations; a test holds it against the scripts."""

PARENT = -1
"""Trial number under which the parent run of a job stands in `runs` and `journal`."""


class StoreError(RuntimeError):
    """The database cannot be reached or used; the message says what was tried."""


class DatabaseAwayError(StoreError):
    """The database does not answer; what was being written may be written again later."""


class Base(DeclarativeBase):
    """Declarative base of Gatetune's tables."""


class Job(Base):
    """One search: its document, its state and what it found. Times are Unix seconds."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    document: Mapped[str]
    """Canonical JSON of the JobSpec."""
    source: Mapped[str]
    """The document as the person wrote it, overrides applied."""
    commit: Mapped[str | None]
    """Git commit of the folder that the job was launched from."""
    status: Mapped[str]
    """queued, running, stopped, failed or finished."""
    message: Mapped[str | None]
    """Why the job ended as it did, in a sentence."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    elapsed_s: Mapped[float] = mapped_column(default=0.0)
    """Seconds that drivers have spent on the job, over all its starts."""
    stop_requested: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[float] = mapped_column(default=0.0)
    dataset: Mapped[str | None]
    """JSON: name, fingerprint, shape and sizes of the parts."""
    result: Mapped[str | None]
    """JSON of the candidates that were compared; see `search.champion.Result`."""
    model: Mapped[str | None]
    """JSON, as `show` prints it."""
    closed: Mapped[str | None]
    """Why the search ended before its budget of trials: hours, target or exhausted."""
    mlflow_away_since: Mapped[float | None]
    """When MLflow stopped answering the delivery; None while it answers."""
    mlflow_error: Mapped[str | None]
    """What it, or the way to it, said last."""


class JournalRow(Base):
    """One epoch of one trial, as it was first reported; waits for delivery to MLflow."""

    __tablename__ = "journal"
    __table_args__ = (Index("journal_undelivered", "job_id", "delivered"),)

    study: Mapped[str] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    time_ms: Mapped[int] = mapped_column(BigInteger)
    metrics: Mapped[str]
    """JSON; NaN and Infinity may occur, so it is text and not a JSON column."""
    verdict: Mapped[str]
    """continue, complete, diverged, pruned or budget: what followed from this epoch."""
    pruner: Mapped[str]
    """JSON of what the pruner remembers of this trial after this epoch."""
    delivered: Mapped[bool] = mapped_column(default=False)


class Run(Base):
    """What the MLflow run of a trial (or of the job, `PARENT`) should be, and what it is."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_job", "job_id"),)

    study: Mapped[str] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    name: Mapped[str]
    parameters: Mapped[str]
    """JSON of the parameters to log."""
    status: Mapped[str]
    """MLflow's: RUNNING, FINISHED, KILLED or FAILED."""
    tag: Mapped[str | None]
    """Why a run did not finish: pruned, diverged, budget, interrupted or failed."""
    reason: Mapped[str | None]
    """Traceback or sentence behind a failure."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Workers that the trial has lost."""
    started_ms: Mapped[int] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[str | None]
    delivered: Mapped[str | None]
    """`told` as MLflow knows it."""

    @hybrid_property
    def told(self) -> str:
        """All that a run should show in one, to compare with what was delivered."""
        return f"{self.status}/{self.tag or ''}/{self.attempts}/{self.ended_ms or ''}"

    @told.inplace.expression
    @classmethod
    def _told(cls) -> ColumnElement[str]:
        tag = func.coalesce(cls.tag, "")
        ended = func.coalesce(cast(cls.ended_ms, String), "")
        return cls.status + "/" + tag + "/" + cast(cls.attempts, String) + "/" + ended

    @hybrid_property
    def is_undelivered(self) -> bool:
        """Whether MLflow does not know this status yet."""
        return self.delivered != self.told

    @is_undelivered.inplace.expression
    @classmethod
    def _is_undelivered(cls) -> ColumnElement[bool]:
        return or_(cls.delivered.is_(None), cls.delivered != cls.told)


def connect(url: str) -> Engine:
    """Return an engine for ``url`` with this project's settings; opens no connection yet."""
    engine = create_engine(url, **settings_of(url))
    if url.startswith("sqlite"):
        tune_sqlite(engine)
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
    }
    return {"pool_pre_ping": True, "connect_args": silence}


def tune_sqlite(engine: Engine) -> None:
    """Let readers and the writer work at once, and let no commit be lost when power fails."""

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        use_wal(cursor)
        # NORMAL would lose the last commits when power fails, though not at a kill; MLflow and
        # the checkpoints would be ahead of the study then, and epochs would be told twice.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


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


class Store:
    """Access to Gatetune's tables in one database, which Optuna's studies share."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = connect(url)

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open the database at ``url`` and bring our tables up to date.

        Raises:
            StoreError: it cannot be reached, or it is of a newer version than this program.
        """
        store = cls(url)
        try:
            store.migrate()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            store.close()
            raise StoreError(
                f"cannot use the database {store.address}: {first_line(error)}"
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

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session; commit at the end, roll back on any exception.

        Raises:
            DatabaseAwayError: the database went away.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, InterfaceError) as error:
            raise DatabaseAwayError(f"database {self.address}: {first_line(error)}") from error

    def migrate(self) -> None:
        """Create or upgrade our tables; does nothing when they are current.

        Raises:
            StoreError: they are of a newer version than this program.
        """
        revision = self.revision()
        if revision == HEAD:
            return
        if revision is not None and revision > HEAD:
            raise StoreError(
                f"cannot use the database {self.address}: it is of a newer version ({revision}) "
                f"than this program ({HEAD})"
            )
        # Alembic takes half a second to import, which every command would pay.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.engine.begin() as connection:
            # Two first starts at once would create the tables twice.
            if self.engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(726254)"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

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


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, which is the part a person can act on."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
