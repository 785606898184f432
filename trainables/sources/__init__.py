"""Where sequences come from, named data sets and people's own files; light to import."""

from pathlib import Path
from typing import Literal

PICTURES = ("mnist", "fashion-mnist", "mnist-5k", "digits")
"""Data sets of pictures."""

DOWNLOADED = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
"""Those that come over the network when they are first used, and what torchvision calls them."""

UNPACKED = tuple(
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
)
"""The files that each of them has."""

ARCHIVED = {
    "japanese-vowels": "JapaneseVowels",
    "basic-motions": "BasicMotions",
    "italy-power-demand": "ItalyPowerDemand",
}
"""Series of the UEA and UCR archives that aeon ships, by what we call them."""

SOURCES: tuple[str, ...] = (*PICTURES, *ARCHIVED)
"""Names that `load_dataset` knows."""

SUFFIXES = (".npz", ".csv", ".tsv", ".parquet", ".ts")
"""Of the files that are read."""

Missing = Literal["refuse", "zero", "mean", "forward"]
"""What is done about missing values; see `trainables.preparation`."""


def is_there(name: str, data_dir: Path) -> bool:
    """Whether all files of what torchvision calls so are there: none has to be downloaded."""
    return all((data_dir / name / "raw" / file).is_file() for file in UNPACKED)
