"""What a trial keeps: the state after its newest epochs, and its best weights.

Light to import: whoever only deletes files has no need of PyTorch.
"""

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from trainables.folder import DamagedError, Folder, FolderError

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 2
"""Epochs that are kept: the one that the study has acknowledged, and the one on its way there."""

BEST = "best.safetensors"
"""The file of the best weights."""

DIGEST_BYTES = hashlib.sha256().digest_size
"""Length of the checksum with which an epoch's file begins; `torch.load` reads what follows."""


class Checkpoints:
    """The folder of one trial.

    Disks lie, although a file appears whole or not at all, so every file carries a checksum
    (SHA-256) of its content.

    Args:
        folder: of this trial alone; made at the first write.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def write(self, epoch: int, state: dict[str, Any]) -> None:
        """Write the state after an epoch, of plain types and tensors; keep the two newest.

        Raises:
            OSError: the disk is full or cannot be written; the older epochs are still there.
        """
        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        self.folder.write(epoch_file(epoch), hashlib.sha256(payload).digest() + payload)
        for old in self.epochs()[:-KEPT]:
            if old != epoch:
                self.folder.delete(epoch_file(old))

    def read(self, epoch: int) -> dict[str, Any] | None:
        """Return the state after an epoch, on the CPU, or None if there is none.

        Raises:
            DamagedError: the file is not what was written.
            FolderError: the store cannot be used.
        """
        import torch

        name = epoch_file(epoch)
        try:
            content = memoryview(self.content(name))
        except FileNotFoundError:
            return None
        digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            raise DamagedError(f"{self.folder}/{name} does not match its checksum")
        state: dict[str, Any] = torch.load(
            io.BytesIO(payload), map_location="cpu", weights_only=True
        )
        return state

    def latest(self) -> int:
        """Return the newest epoch that has a file, 0 if none has."""
        return max(self.epochs(), default=0)

    def epochs(self) -> list[int]:
        """Return the epochs that have a file, oldest first."""
        return sorted(map(epoch_of, epoch_files(self.folder.names())))

    def clear_epochs(self, *, keep: int | None = None) -> None:
        """Delete every epoch's file but that of ``keep``, and what interrupted writes left."""
        for epoch in self.epochs():
            if epoch != keep:
                self.folder.delete(epoch_file(epoch))
        for rest in self.folder.interrupted():
            self.folder.delete(rest.name)

    def write_best(self, weights: "dict[str, Tensor]", *, epoch: int, value: float) -> None:
        """Write the weights of the best epoch, which epoch, and its value."""
        from safetensors.torch import save

        about = {"epoch": str(epoch), "value": repr(value), "sha256": checksum(weights)}
        self.folder.write(BEST, save(weights, about))

    def read_best(self) -> "dict[str, Tensor]":
        """Return the best epoch's weights.

        Raises:
            FileNotFoundError: the trial has not completed.
            DamagedError: the file is not what was written.
            FolderError: the store cannot be used.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        content = self.content(BEST)
        try:
            weights = load(content)
            # The format: the length of a header in JSON, the header, the tensors.
            header = content[8 : 8 + int.from_bytes(content[:8], "little")]
            known = json.loads(header)["__metadata__"]["sha256"]
        except (SafetensorError, KeyError, TypeError) as error:
            raise DamagedError(f"{self.folder}/{BEST} cannot be read: {error}") from error
        if checksum(weights) != known:
            raise DamagedError(f"{self.folder}/{BEST} does not match its checksum")
        return weights

    def has_best(self) -> bool:
        """Whether the best weights are there."""
        return self.folder.exists(BEST)

    def content(self, name: str) -> bytes:
        """Return the content of a file; one that cannot be read is as good as damaged.

        Where it is the store that cannot be used, nothing is known about the file.
        """
        try:
            return self.folder.read(name)
        except (FileNotFoundError, FolderError):
            raise
        except OSError as error:
            raise DamagedError(f"{self.folder}/{name} cannot be read: {error.strerror}") from error


def trial_folder(number: int) -> str:
    """Return the name of a trial's folder in its study's."""
    return f"{number:06d}"


def epoch_file(epoch: int) -> str:
    """Return the name of an epoch's file."""
    return f"epoch-{epoch:06d}.pt"


def epoch_files(names: list[str]) -> list[str]:
    """Return those of a folder's names that are an epoch's."""
    return [name for name in names if name.startswith("epoch-") and name.endswith(".pt")]


def epoch_of(name: str) -> int:
    """Return the epoch of a file.

    Raises:
        ValueError: the name is none of ours.
    """
    return int(name.removeprefix("epoch-").removesuffix(".pt"))


def checksum(weights: "dict[str, Tensor]") -> str:
    """Return the SHA-256 of named tensors, in hexadecimal."""
    from safetensors.torch import save

    return hashlib.sha256(save(weights)).hexdigest()
