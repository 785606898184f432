"""The files that a document names on this machine, brought to a service that runs the job."""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from search.common.faults import show
from search.common.places import is_path
from search.document.spec import document_of
from trainables.faults import DatasetError
from trainables.sources import SUFFIXES, files

Upload = Callable[[str, Path], None]
"""Puts a file into the service under a name; one that is there already stays."""


def with_uploads(document: Path, text: str, overrides: Sequence[str], upload: Upload) -> list[str]:
    """Upload the data of a document; return the overrides with which the service finds them.

    A path that leads to nothing here is left as it is: the service may know it.

    Args:
        document: the file, beside which relative paths begin.
        text: what it holds.
        overrides: of the caller.
        upload: takes a file.

    Raises:
        DatasetError: a folder holds no data, or not of one data set.
        SpecError: the document is no mapping, or an override none.
    """
    data = document_of(text, overrides, [], folder=document.parent).get("data")
    said = data if isinstance(data, dict) else {}
    found = {key: here(said.get(key)) for key in ("source", "test")}
    if found["source"] is not None:
        train, test = files.parts(found["source"])
        found = {"source": train, "test": found["test"] or test}
    added = []
    for key, path in found.items():
        if path is not None:
            if path.suffix not in SUFFIXES:
                raise DatasetError(
                    f"data.{key}: must end in {', '.join(SUFFIXES)} to be uploaded, but got "
                    f"{show(str(path))}"
                )
            name = name_of(path)
            upload(name, path)
            added.append(f"data.{key}={name}")
    return [*overrides, *added]


def here(source: object) -> Path | None:
    """Return the file or folder of this machine that a source means; None for none."""
    if isinstance(source, str) and is_path(source):
        # Of a folder that is closed to us, or a name that no disk has, the service may know more.
        with suppress(OSError, ValueError):
            return Path(source) if Path(source).exists() else None
    return None


def name_of(path: Path) -> str:
    """Return under which name a service keeps a file: the same content has the same name."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")[:64] or "data"
    return f"{stem}-{digest_of(path)[:12]}{path.suffix}"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{show(str(path))} must be readable, but {error.strerror}") from None
