"""Where an installation keeps its state, and the settings that move parts of it elsewhere."""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from search.common.texts import without_passwords
from trainables.folder import Folder, folder_at

if TYPE_CHECKING:
    from search.common.places import Places

JobLog = Literal["driver", "delivery"]
"""What of a job writes a log of its own."""

FOLDER = ".gatetune"

STORES = ("s3", "gs", "gcs", "abfs", "abfss")
"""Schemes of the object stores that pyarrow knows."""


IN_ADDRESSES = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What the address of a SQLite file cannot have in its path: the file would be another one."""


class SettingsError(ValueError):
    """An environment setting cannot be used; the message says which and why."""


def find_home(start: Path) -> Path:
    """Return the nearest ``.gatetune`` in ``start`` or above it, else a new one in ``start``."""
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    return start / FOLDER


@dataclass(frozen=True)
class Home:
    """The settings of one installation. Nothing is created before :meth:`create`.

    Attributes:
        checkpoints: what `folder_at` opens: a path, or the URL of an object store.
        data: folder of downloaded and of uploaded data.
        roots: further folders from which jobs that came over the network may read.
    """

    path: Path
    database_url: str
    tracking_uri: str
    ray_address: str | None
    checkpoints: str
    data: Path
    roots: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls) -> "Home":
        """Read the settings.

        Raises:
            SettingsError: a setting names something that cannot be used.
        """
        given = os.environ.get("GATETUNE_HOME")
        path = Path(given).expanduser().resolve() if given else find_home(Path.cwd())
        if IN_ADDRESSES.search(str(path)):
            raise SettingsError(
                "GATETUNE_HOME must be a folder whose path has no ? and nothing like %41, which "
                f"mean something else in the address of a database, but got {path}"
            )
        for folder in (path, *path.parents):
            if folder.is_file():
                raise SettingsError(f"GATETUNE_HOME must be a folder, but {folder} is a file")
        return cls(
            path=path,
            database_url=database_url(
                os.environ.get("GATETUNE_DATABASE_URL") or f"sqlite:///{path / 'gatetune.db'}"
            ),
            tracking_uri=tracking_uri(
                os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path / 'mlflow.db'}"
            ),
            ray_address=os.environ.get("RAY_ADDRESS") or None,
            checkpoints=checkpoints_at(path / "checkpoints"),
            data=local_folder("GATETUNE_DATA", path / "data"),
            roots=local_folders("GATETUNE_DATA_ROOTS"),
        )

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's artifacts when MLflow's own state lies under the home."""
        return self.path / "artifacts"

    @property
    def scratch(self) -> Path:
        """Folder of those that only running drivers need, named by their jobs."""
        return self.path / "scratch"

    def log(self, job_id: str, of: JobLog) -> Path:
        """Return the file that holds what drivers of a queued job, or its deliveries, have said."""
        return self.path / "logs" / f"{job_id}-{of}.log"

    def folder(self, job_id: str) -> Folder:
        """Return the folder of a job's checkpoints and champion."""
        return folder_at(self.checkpoints).child(job_id)

    @property
    def places(self) -> "Places":
        """The folders from which jobs that came over the network may read."""
        from search.common.places import Places  # brings what commands that only look do without

        return Places(self.data, self.roots)

    @property
    def tracking_address(self) -> str:
        """Where MLflow's state is, as people may be told: without a password."""
        return without_passwords(self.tracking_uri)

    @property
    def embedded_tracking(self) -> bool:
        """Whether MLflow's state is a file of this home and no server is needed."""
        return self.tracking_uri.startswith("sqlite:")

    @property
    def tracking_path(self) -> Path:
        """MLflow's SQLite file, where `embedded_tracking`."""
        return Path(self.tracking_uri.removeprefix("sqlite:///"))

    @property
    def is_untracked(self) -> bool:
        """Whether MLflow's file of this home is not made yet; to look into it would make it."""
        return self.embedded_tracking and not self.tracking_path.exists()

    @property
    def is_shared(self) -> bool:
        """Whether jobs of other installations may lie beside ours, in MLflow or as checkpoints."""
        under = (str(self.path / "mlflow.db"), str(self.path / "checkpoints"))
        return not self.embedded_tracking or (str(self.tracking_path), self.checkpoints) != under

    def check(self) -> None:
        """Make sure that the home can be created, as far as can be seen without doing it.

        Raises:
            SettingsError: it cannot be written to.
        """
        there = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise unwritable(there, os.strerror(errno.EACCES))

    def create(self) -> None:
        """Create the home, with a ``.gitignore`` so that state is never committed.

        Raises:
            SettingsError: it cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            if "://" not in self.checkpoints:
                Path(self.checkpoints).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(error.filename, error.strerror) from error


def unwritable(what: object, why: str | None) -> SettingsError:
    """Return what to raise where a home cannot be written to."""
    return SettingsError(f"GATETUNE_HOME must be a folder that can be written to; {what}: {why}")


def database_url(url: str) -> str:
    """Return ``url`` with the driver that is installed here.

    Raises:
        SettingsError: the database is neither SQLite nor PostgreSQL.
    """
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    if url.startswith(("sqlite:///", "postgresql+psycopg://")):
        return url
    kind = url.split(":", 1)[0]
    raise SettingsError(
        f"GATETUNE_DATABASE_URL must start with sqlite:/// or postgresql://, but got {kind!r}"
    )


def tracking_uri(uri: str) -> str:
    """Return ``uri``, of MLflow's server or of its own file.

    Raises:
        SettingsError: it is neither, or has settings behind the file.
    """
    said = f"but got {without_passwords(uri)!r}"
    if not uri.startswith(("http://", "https://", "sqlite:///")):
        raise SettingsError(
            f"MLFLOW_TRACKING_URI must start with http://, https:// or sqlite:///, {said}"
        )
    if uri.startswith("sqlite:") and IN_ADDRESSES.search(uri):
        raise SettingsError(
            f"MLFLOW_TRACKING_URI must name a file without ? and anything like %41, {said}"
        )
    return uri


def local_folder(setting: str, default: Path) -> Path:
    """Return the folder that ``setting`` names, else ``default``.

    Raises:
        SettingsError: the setting is a URL.
    """
    given = os.environ.get(setting)
    if not given:
        return default
    if "://" in given:
        raise SettingsError(f"{setting} must be a folder, but got {given!r}")
    return Path(given).expanduser().resolve()


def local_folders(setting: str) -> tuple[Path, ...]:
    """Return the folders that ``setting`` names, with colons between them.

    Raises:
        SettingsError: one is not there.
    """
    given = [Path(part) for part in os.environ.get(setting, "").split(os.pathsep) if part]
    for folder in given:
        if not folder.is_absolute() or not folder.is_dir():
            raise SettingsError(
                f"{setting} must name folders that are there, each by its whole path and with "
                f"{os.pathsep} between them, but got {str(folder)!r}"
            )
    return tuple(given)


def checkpoints_at(default: Path) -> str:
    """Return the folder or URL that ``GATETUNE_CHECKPOINTS`` names, else ``default``.

    Raises:
        SettingsError: the URL is of no object store, or holds a secret, which is not repeated.
    """
    given = os.environ.get("GATETUNE_CHECKPOINTS", "")
    if "://" not in given:
        return str(local_folder("GATETUNE_CHECKPOINTS", default))
    must = "GATETUNE_CHECKPOINTS must"
    try:
        parts = urlsplit(given)
    except ValueError as error:
        raise SettingsError(f"{must} be a folder or a URL, but: {error}") from None
    if not parts.netloc or parts.scheme not in STORES:
        raise SettingsError(
            f"{must} be a folder or a URL such as s3://BUCKET/PATH, with one of the schemes "
            f"{', '.join(STORES)}, but got {parts.scheme}://"
        )
    # A secret with a slash in it ends the address before its @.
    if ":" in parts.netloc or "@" in parts.path or "client_secret" in parse_qs(parts.query):
        raise SettingsError(
            f"{must} name no password: credentials come from the environment, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return given
