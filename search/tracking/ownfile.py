"""MLflow's state where it is a SQLite file of the home, for those who do not import MLflow."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from search.common.home import Home
from search.database import store


class UpgradeError(RuntimeError):
    """MLflow does not bring its file up to date."""


PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Tables and columns in which MLflow keeps where artifacts are, each as a whole address."""


def prepare(home: Home) -> None:
    """Make MLflow's own SQLite file ready, whether it is there or not.

    With write-ahead logging a run takes half the time, and readers go on.
    """
    path = home.tracking_path
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        store.use_wal(connection.cursor())
        if path.is_relative_to(home.path):
            follow(connection, home.artifacts)


def follow(connection: sqlite3.Connection, artifacts: Path) -> None:
    """Let MLflow find its artifacts where the home was moved or copied to.

    Args:
        connection: to MLflow's file.
        artifacts: the home's folder of them.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
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
    if not home.embedded_tracking or not home.tracking_path.exists():
        return False
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", home.tracking_uri]
    done = subprocess.run(  # noqa: S603 - our own command line
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise UpgradeError(f"MLflow cannot upgrade {home.tracking_path}: {said[-1]}")
    return True
