"""Where a document's data may lie: files of this machine, or of a service's data folders."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from search.common.faults import SpecError, nearest, show
from trainables.sources import SOURCES, SUFFIXES

UPLOADS = "uploads"
"""Folder of uploaded files, in that of the data."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_path(source: str) -> bool:
    """Whether a source is meant as a file or folder, rather than as a name.

    By its looks, so that a mistyped name is told as such whatever lies around: files end as data
    files do, and folders are written with a slash.
    """
    return source not in SOURCES and ("/" in source or PurePath(source).suffix in SUFFIXES)


def fault_of(source: str) -> str | None:
    """Return the rule that a source breaks whatever machine it is read on; None for none."""
    if "://" in source:
        return "must be a name or a path, and no URL"
    if CONTROL.search(source):
        return "must be a name or a path without control characters"
    if source in SOURCES or is_path(source):
        return None
    guess = nearest(source, SOURCES)
    hint = f" (did you mean {guess}?)" if guess else ""
    return (
        f"must be one of {', '.join(SOURCES)}, a file ending in {', '.join(SUFFIXES)}, or a "
        f"folder, written with a slash{hint}"
    )


def anchored(source: object, folder: Path) -> object:
    """Return a source with a relative path put under ``folder``; anything else as it is."""
    if not isinstance(source, str) or fault_of(source) or not is_path(source):
        return source
    return str((folder / Path(source).expanduser()).resolve())


@dataclass(frozen=True)
class Places:
    """The folders from which jobs that came over the network may read.

    Attributes:
        data: the installation's data folder, in which uploaded files have a folder of their own.
        roots: further folders that its owner allows.
    """

    data: Path
    roots: tuple[Path, ...] = ()

    @property
    def uploads(self) -> Path:
        """Folder of uploaded files."""
        return self.data / UPLOADS

    def find(self, key: str, source: str) -> Path:
        """Return the file or folder that a document means.

        A relative path is looked for among the uploaded files, then in the data folder and the
        roots; an absolute one must lie in one of these. What a link leads to counts.

        Args:
            key: of the document, for the message.
            source: what it says.

        Raises:
            SpecError: there is no such file where jobs may read; nothing is told about others.
        """
        allowed = (self.uploads, self.data, *self.roots)
        path = Path(source)
        for folder in allowed:
            # A name that is too long or holds a null, a link in a circle, a closed folder.
            with suppress(OSError, RuntimeError, ValueError):
                found = (folder / path).resolve()
                inside = found.is_relative_to(folder.resolve())
                if inside and ".." not in path.parts and found.exists():
                    return found
        rule = "must be an uploaded file, or lie in a folder that the service may read"
        raise SpecError([f"{key}: {rule}, but got {show(source)}"])
