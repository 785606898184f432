"""Installations whose MLflow is real, and empty: its tables take seconds to create, so once."""

import tempfile
from functools import cache
from pathlib import Path

from search.home import Home
from search.tracking import Tracking


def installed() -> Home:
    """Create the installation that the `home` fixture chose."""
    home = Home.from_environment()
    home.create()
    home.tracking_path.write_bytes(empty_mlflow())
    return home


@cache
def empty_mlflow() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        uri = f"sqlite:///{path / 'mlflow.db'}"
        home = Home(path, "", uri, None, folder, path)
        tracking = Tracking(home, "none", "Default")
        tracking.client._tracking_client.store.engine.dispose()
        return home.tracking_path.read_bytes()
