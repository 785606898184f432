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


def use_wal(path: Path) -> None:
    """Set MLflow's own SQLite file to write-ahead logging: half the time a run, readers go on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        store.use_wal(connection.cursor())


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
