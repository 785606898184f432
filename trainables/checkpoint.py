"""What a trial keeps on disk: the state after its newest epochs, and its best weights."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

KEPT = 2
"""Epochs on disk: the one that the study has acknowledged, and the one on its way there."""

DIGEST_BYTES = hashlib.sha256().digest_size
"""Length of the checksum with which an epoch's file begins; `torch.load` reads what follows."""


class DamagedError(RuntimeError):
    """A checkpoint's file is there, but not as it was written; the message names it."""


class Checkpoints:
    """The folder of one trial. A file in it is whole: it appears under its name when complete.

    Disks lie all the same, so every file carries a checksum (SHA-256) of its content.

    Args:
        folder: of this trial alone; made at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, epoch: int, state: dict[str, Any]) -> None:
        """Write the state after an epoch, of plain types and tensors; keep the two newest.

        Raises:
            OSError: the disk is full or cannot be written; the older epochs are still there.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        self.put(self.path(epoch), hashlib.sha256(payload).digest() + payload)
        for old in self.epochs()[:-KEPT]:
            if old != epoch:
                self.path(old).unlink(missing_ok=True)

    def read(self, epoch: int) -> dict[str, Any] | None:
        """Return the state after an epoch, on the CPU, or None if there is none.

        Raises:
            DamagedError: the file is not what was written.
        """
        path = self.path(epoch)
        try:
            content = memoryview(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
        digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            raise DamagedError(f"{path} does not match its checksum")
        state: dict[str, Any] = torch.load(
            io.BytesIO(payload), map_location="cpu", weights_only=True
        )
        return state

    def latest(self) -> int:
        """Return the newest epoch that has a file, 0 if none has."""
        return max(self.epochs(), default=0)

    def epochs(self) -> list[int]:
        """Return the epochs that have a file, oldest first."""
        return sorted(
            int(path.stem.removeprefix("epoch-")) for path in self.folder.glob("epoch-*.pt")
        )

    def clear_epochs(self, *, keep: int | None = None) -> None:
        """Delete every epoch's file but that of ``keep``, and what interrupted writes left."""
        for epoch in self.epochs():
            if epoch != keep:
                self.path(epoch).unlink(missing_ok=True)
        for rest in self.folder.glob(".*.tmp"):
            rest.unlink(missing_ok=True)

    def write_best(self, weights: dict[str, Tensor], *, epoch: int, value: float) -> None:
        """Write ``best.safetensors``: the weights of the best epoch, which epoch, and its value."""
        about = {"epoch": str(epoch), "value": repr(value), "sha256": checksum(weights)}
        self.put(self.best, save(weights, about))

    def read_best(self) -> dict[str, Tensor]:
        """Return the best epoch's weights.

        Raises:
            FileNotFoundError: the trial has not completed.
            DamagedError: the file is not what was written.
        """
        content = self.best.read_bytes()
        try:
            weights = load(content)
            with safe_open(self.best, framework="pt") as file:
                known = file.metadata()["sha256"]
        except (SafetensorError, KeyError, TypeError) as error:
            raise DamagedError(f"{self.best} cannot be read: {error}") from error
        if checksum(weights) != known:
            raise DamagedError(f"{self.best} does not match its checksum")
        return weights

    @property
    def best(self) -> Path:
        """The file of the best weights."""
        return self.folder / "best.safetensors"

    def path(self, epoch: int) -> Path:
        """Return the file of an epoch."""
        return self.folder / f"epoch-{epoch:06d}.pt"

    def put(self, path: Path, content: bytes) -> None:
        """Let a file take the place of ``path`` once it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # The process id keeps a worker that was given up for dead out of its successor's file.
        scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            write_durably(scratch, content)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        sync_folder(self.folder)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is on disk when this returns.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power failure."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def checksum(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors, in hexadecimal."""
    return hashlib.sha256(save(weights)).hexdigest()
