"""MLflow's state where it is a SQLite file of the home, for those who have not imported MLflow.

``python -m search.tracking.ownfile FILE ARTIFACTS server …`` is MLflow's command line over such a
file, which it makes first.
"""

import fcntl
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from search.common.home import Home
from search.database import store


class UpgradeError(RuntimeError):
    """MLflow does not bring its file up to date."""


ERROR = re.compile(r"[\w.]*(Error|Exception): ")
"""How the line of a traceback begins that says what is wrong; SQLAlchemy adds others."""

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Tables and columns in which MLflow keeps where artifacts are, each as a whole address."""


TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"

OWN_ROWS = ("alembic_version", "workspaces")
"""Tables that have rows before anybody has anything there."""

PARTS = ("", "-wal", "-shm", "-journal")
"""What is behind the name of a SQLite file, and of those beside it."""


def make(path: Path, artifacts: str) -> None:
    """Let MLflow make its own SQLite file, unless it is there.

    It does so in dozens of steps: killed in between, or with a full disk, it would never come to an
    end, and two that begin at once would meet. So it makes another file, which is renamed.

    Args:
        path: the file.
        artifacts: the address of what runs log beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if path.exists() and not is_half_made(path):
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for left in path.parent.glob(f"{path.name}.new-*"):  # by one that was killed
            left.unlink()
        # Another name each time: MLflow keeps connections to what it has opened.
        fresh = path.with_name(f"{path.name}.new-{uuid4().hex[:8]}")
        try:
            with_wal(fresh)
            SqlAlchemyStore(f"sqlite:///{fresh}", artifacts).engine.dispose()  # type: ignore[no-untyped-call]
            aside = path.with_name(f"{path.name}.half-made-{uuid4().hex[:8]}")
            for part in PARTS:
                if (old := beside(path, part)).exists():
                    old.replace(beside(aside, part))
            fresh.replace(path)
        finally:
            remove(fresh)
    finally:
        os.close(folder)


def is_half_made(path: Path) -> bool:
    """Return whether MLflow was ended while it made a file: nobody has anything in it.

    One that is whole has an experiment.
    """
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            tables = {name for (name,) in connection.execute(TABLES)}
            if "experiments" in tables and holds(connection, "experiments"):
                return False
            # Who imports the base alone knows of no table.
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - it tells the base of them
            from mlflow.store.db.base_sql_model import Base

            theirs = {*Base.metadata.tables, *OWN_ROWS}
            return all(
                table.removeprefix("_alembic_tmp_") in theirs
                and (table in OWN_ROWS or not holds(connection, table))
                for table in tables
            )
    except sqlite3.DatabaseError:
        return False  # which MLflow says better


def holds(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether a table has rows."""
    return bool(connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchall())  # noqa: S608


def beside(path: Path, part: str) -> Path:
    """Return one of the files of a SQLite file."""
    return path.with_name(f"{path.name}{part}")


def remove(path: Path) -> None:
    """Remove a SQLite file, where it is there."""
    for part in PARTS:
        beside(path, part).unlink(missing_ok=True)


def with_wal(path: Path) -> None:
    """Let a SQLite file log what is written: a run takes half the time, and readers go on."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        store.use_wal(connection.cursor())


def prepare(home: Home) -> None:
    """Make MLflow's own SQLite file ready, if it is there."""
    path = home.tracking_path
    if not path.exists():
        return
    with_wal(path)
    if path.is_relative_to(home.path):
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            follow(connection, home.artifacts)


def follow(connection: sqlite3.Connection, artifacts: Path) -> None:
    """Let MLflow find its artifacts where the home was moved or copied to.

    Args:
        connection: to MLflow's file.
        artifacts: the home's folder of them.
    """
    tables = {name for (name,) in connection.execute(TABLES)}
    if not tables.issuperset(table for table, _ in PLACES):
        return  # MLflow has not made it yet, or another version has, which `migrate` brings up
    known = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    with connection:
        for name, old in known:
            here = artifacts / name
            is_ours = str(old).startswith("file:") and str(old).endswith(f"/artifacts/{name}")
            if not is_ours or old == here.as_uri() or not here.is_dir():
                continue
            for table, column in PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - ours
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here.as_uri(), len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def upgrade(home: Home) -> bool:
    """Bring MLflow's own file to the schema of the MLflow that is installed.

    Returns:
        Whether there is such a file.

    Raises:
        UpgradeError: MLflow cannot; the last that it said.
    """
    path = home.tracking_path
    if not home.embedded_tracking or not path.exists() or is_half_made(path):
        return False
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", home.tracking_uri]
    done = subprocess.run(  # noqa: S603 - our own command line
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        why = next((line for line in reversed(said) if ERROR.match(line)), said[-1])
        raise UpgradeError(f"MLflow cannot upgrade {path}: {why}")
    return True


def main() -> None:
    """Run MLflow's command line once its file is whole."""
    from mlflow.cli import cli

    path, artifacts, *arguments = sys.argv[1:]
    make(Path(path), artifacts)
    cli(arguments, prog_name="mlflow")


if __name__ == "__main__":
    main()
