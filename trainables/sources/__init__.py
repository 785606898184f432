"""Where sequences come from, named data sets and people's own files; light to import."""

from typing import Literal

PICTURES = ("mnist", "fashion-mnist", "mnist-5k", "digits")
"""Data sets of pictures."""

DOWNLOADED = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
"""Those that come over the network when they are first used, and what torchvision calls them."""

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
