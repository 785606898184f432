"""A temporary installation with servers of its own, all of which may fail."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from tests.chaos.proxy import Proxy
from tests.chaos.tracking import TrackingServer
from tests.processes import Process, processes, send_all
from tests.servers import Postgres

Database = Literal["sqlite", "postgresql"]

CHECKPOINTS_MB = 24
"""Size of the disk that checkpoints are written to."""

FOREIGN = ("COVERAGE_", "RAY_", "GATETUNE_", "MLFLOW_")
"""Settings of whoever runs this that must not reach the world's processes."""


class World:
    """Where one job runs: a home, a database, an MLflow server behind a proxy, a small disk."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.folder = Path(tempfile.mkdtemp(prefix="gatetune-chaos-"))
        self.home = self.folder / "home"
        self.checkpoints = self.folder / "checkpoints"
        self.checkpoints.mkdir()
        self.disk_is_small = mount(self.checkpoints)
        self.tracking = TrackingServer(self.folder / "mlflow")
        self.proxy = Proxy(self.tracking.port)
        self.postgres = Postgres(durable=True) if database == "postgresql" else None

    @property
    def database_url(self) -> str:
        return self.postgres.url if self.postgres else f"sqlite:///{self.home / 'gatetune.db'}"

    @property
    def settings(self) -> dict[str, str]:
        """What makes a command work on this world."""
        return {
            "GATETUNE_HOME": str(self.home),
            "GATETUNE_CHECKPOINTS": str(self.checkpoints),
            "GATETUNE_DATABASE_URL": self.database_url,
            "MLFLOW_TRACKING_URI": self.proxy.url,
            "RAY_TMPDIR": str(self.folder / "ray"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the world's commands."""
        outer = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        return outer | self.settings | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}

    def start(self) -> None:
        """Start the servers."""
        self.tracking.start()
        if self.postgres:
            self.postgres.start()

    def processes(self) -> list[Process]:
        """The live processes of drivers, Ray and delivery; the servers are none of them."""
        setting = f"GATETUNE_HOME={self.home}"
        return [p for p in processes() if p.has_setting(setting)]

    def close(self, *, keep: bool) -> None:
        """End all that runs, and delete the folder unless it is to be looked at."""
        send_all(self.processes(), signal.SIGKILL)
        self.proxy.close()
        self.tracking.kill()
        if self.postgres:
            if keep:
                self.postgres.dump(self.folder / "database.sql")
            self.postgres.remove()
        if self.disk_is_small:
            if keep:
                shutil.copytree(self.checkpoints, self.folder / "checkpoints-kept")
            subprocess.run(["umount", "--lazy", str(self.checkpoints)], check=True)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def mount(folder: Path) -> bool:
    """Put a small disk at ``folder``; return whether this machine lets us."""
    if os.getuid() != 0:
        return False
    options = f"size={CHECKPOINTS_MB}m"
    command = ["mount", "-t", "tmpfs", "-o", options, "gatetune-chaos", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
