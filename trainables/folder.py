"""Folders for checkpoints and champions: on a file system, or in an object store by its URL."""

import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class FolderError(OSError):
    """An object store does not answer, or refuses; the message names the folder and says why."""


class DamagedError(RuntimeError):
    """A checkpoint's file is there, but not as it was written; the message names it."""


class Folder(ABC):
    """Files by their names, and folders within.

    It is made by the first write, and gone with the last file. A file in it is whole: it appears
    under its name, in place of an earlier one, when it is complete.

    Raises from every method: `FolderError` where an object store cannot be used.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """What `folder_at` makes the same folder of, on any machine."""

    @abstractmethod
    def child(self, name: str) -> "Folder":
        """Return a folder within; it need not be there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be read.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file so that it survives whatever happens once this returns.

        Raises:
            OSError: the disk is full or cannot be written; an earlier file is still there.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files and folders in it, in order; none where it is missing."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file or a folder in it, which may be missing."""

    @abstractmethod
    def clear(self) -> None:
        """Delete it with all that is in it."""

    @abstractmethod
    def interrupted(self) -> "list[Item]":
        """Return what writes that were killed have left, at any depth."""

    @abstractmethod
    def check(self) -> None:
        """Make sure that it can be written to, as far as that can fail without a full disk."""


class Item(NamedTuple):
    """A file or folder in a folder."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        """Return where it is."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder on a disk of this machine, or on one that machines share."""

    path: Path

    def __str__(self) -> str:
        """Return its path."""
        return str(self.path)

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    def child(self, name: str) -> "LocalFolder":
        """Return a folder within."""
        return LocalFolder(self.path / name)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside its place, and rename it once it is on disk."""
        self.path.mkdir(parents=True, exist_ok=True)
        # The process id keeps a worker that was given up for dead out of its successor's file.
        scratch = self.path / f".{name}.{os.getpid()}.tmp"
        try:
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path / name)
        finally:
            scratch.unlink(missing_ok=True)
        # The name, too, is to survive a power failure.
        opened = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return (self.path / name).is_file()

    def names(self) -> list[str]:
        """Return the names of the files and folders in it."""
        try:
            return sorted(path.name for path in self.path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, name: str) -> None:
        """Delete a file or a folder in it."""
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it still holds something, or is gone
            self.path.rmdir()

    def clear(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def interrupted(self) -> list[Item]:
        """Return scratch files, at any depth; none where some of it is deleted meanwhile."""
        found: list[Path] = []
        with suppress(FileNotFoundError):
            found = sorted(self.path.rglob(".*.tmp"))
        return [Item(LocalFolder(path.parent), path.name) for path in found]

    def check(self) -> None:
        """It is made by the first write."""


@dataclass(frozen=True)
class ObjectFolder(Folder):
    """Objects of a store whose names begin alike. A put is atomic there, and has no scratch file.

    Stores have no folders: pyarrow marks one in which it deletes with an object of no length,
    which goes when the folder is cleared.
    """

    url: str

    def __str__(self) -> str:
        """Return its URL without the options."""
        return urlsplit(self.url)._replace(query="").geturl()

    @property
    def place(self) -> str:
        """Its URL."""
        return self.url

    def child(self, name: str) -> "ObjectFolder":
        """Return a folder within."""
        parts = urlsplit(self.url)
        return ObjectFolder(parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl())

    def read(self, name: str) -> bytes:
        """Return the content of an object, by one request: a stream asks for piece after piece."""
        with self.opened(name) as (store, path), store.open_input_file(path) as file:
            return bytes(file.read_at(file.size(), 0))

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        with self.opened(name) as (store, path), store.open_output_stream(path) as stream:
            stream.write(content)

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        with self.opened(name) as (store, path):
            return bool(store.get_file_info(path).is_file)

    def names(self) -> list[str]:
        """Return the names of the objects and folders in it."""
        from pyarrow import fs

        with self.opened() as (store, path):
            found = store.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(one.base_name for one in found)

    def delete(self, name: str) -> None:
        """Delete an object, or a folder in it."""
        with suppress(FileNotFoundError), self.opened(name) as (store, path):
            if store.get_file_info(path).is_file:
                store.delete_file(path)
            else:
                store.delete_dir(path)

    def clear(self) -> None:
        """Delete every object in it."""
        with suppress(FileNotFoundError), self.opened() as (store, path):
            store.delete_dir(path)

    def interrupted(self) -> list[Item]:
        """Return nothing: what a put that was killed has sent is never seen."""
        return []

    def check(self) -> None:
        """Put an object and delete it, since a store that can be read need not be writable."""
        name = f"check-{secrets.token_hex(8)}"
        self.write(name, b"")
        self.delete(name)

    @contextmanager
    def opened(self, name: str = "") -> Iterator[tuple[Any, str]]:
        """Yield the store and the path of a name in it; tell its errors in one way.

        Raises:
            FileNotFoundError: there is no such object.
            FolderError: the store cannot be used.
        """
        parts = urlsplit(self.url)
        try:
            store, bucket = open_store(parts._replace(path="").geturl())
            yield store, f"{bucket}{unquote(parts.path)}/{name}".replace("//", "/").strip("/")
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:  # the latter of a URL that it does not understand
            said = " ".join(str(error).split())
            raise FolderError(f"{self} cannot be used: {said}") from error


@cache
def open_store(url: str) -> tuple[Any, str]:
    """Return a store as pyarrow reads it, and its bucket; a process opens each of them once.

    Raises:
        OSError, ValueError: pyarrow does not understand the URL, or asks about it in vain.
    """
    from pyarrow import fs  # takes a moment to import, which installations without a store save

    opened: tuple[Any, str] = fs.FileSystem.from_uri(url)
    return opened


def folder_at(place: str) -> Folder:
    """Return the folder at a path, or at a URL of an object store; nothing is opened yet."""
    return ObjectFolder(place) if "://" in place else LocalFolder(Path(place))
