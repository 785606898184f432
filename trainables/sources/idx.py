"""MNIST and Fashion-MNIST through torchvision, from their four files in IDX format."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets as torchvision_datasets

from trainables.faults import DatasetError
from trainables.sources import is_there

CONNECT_S = 5.0
"""How long one attempt to reach a mirror may take; torchvision itself would wait for ever."""


Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Pictures [pictures, rows, columns] and their classes [pictures]."""


def read(name: str, data_dir: Path) -> tuple[Labelled, Labelled]:
    """Return the training and the test part of MNIST or FashionMNIST, downloaded if need be.

    Args:
        name: torchvision's class, which also names the folder in ``data_dir``.
        data_dir: holds ``NAME/raw`` with the four files, packed (.gz) or not.

    Raises:
        DatasetError: the files are not there and cannot be downloaded, or they are damaged.
    """
    folder = data_dir / name / "raw"
    source: type[torchvision_datasets.MNIST] = getattr(torchvision_datasets, name)
    if not is_there(name, data_dir):
        fetch(source, data_dir, folder)
    try:
        return part(source(data_dir, train=True)), part(source(data_dir, train=False))
    except (ValueError, AssertionError, RuntimeError) as error:
        raise DatasetError(
            f"the files in {folder} are damaged ({error}); delete the folder and try again"
        ) from error


def part(found: torchvision_datasets.MNIST) -> Labelled:
    """Return torchvision's tensors as arrays."""
    if len(found.data) != len(found.targets):
        raise ValueError(f"{len(found.data)} images have {len(found.targets)} labels")
    return found.data.numpy(), found.targets.numpy().astype(np.int64)


def fetch(source: type[torchvision_datasets.MNIST], data_dir: Path, folder: Path) -> None:
    """Download what is missing and put the unpacked files in ``folder``, each whole or not at all.

    Raises:
        DatasetError: it could not be done; names the files and where they go.
    """
    packed = [file for file, _ in source.resources]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # torchvision takes any unpacked file for a whole one, so that an interrupted download
        # would break every later try: it works in a folder of its own.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as scratch:
            raw = Path(scratch) / folder.relative_to(data_dir)
            raw.mkdir(parents=True)
            for file in packed:
                if (folder / file).is_file():
                    shutil.copyfile(folder / file, raw / file)
            with socket_timeout(CONNECT_S):
                source(scratch, download=True)
            for file in packed:
                unpacked = file.removesuffix(".gz")
                (raw / unpacked).replace(folder / unpacked)
    except (RuntimeError, OSError, EOFError, HTTPException) as error:
        raise DatasetError(
            f"{source.__name__} is not in {folder} and could not be downloaded; put "
            f"{', '.join(packed)} there, packed or unpacked, and try again\n{error}"
        ) from error


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Let no new socket wait for longer than ``seconds`` while the block runs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
