"""Sequences in the format of the UCR and UEA archives, read through aeon."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.sequences import DatasetError, Sequences


def read(path: Path) -> Sequences:
    """Return the sequences of a ``.ts`` file.

    Raises:
        DatasetError: it is not of that format; names the line.
    """
    check_text(path)
    try:
        from aeon.datasets import load_from_ts_file

        x, labels = load_from_ts_file(str(path))
    except Exception as error:  # aeon raises whatever it stumbles over
        raise DatasetError(
            f"{path.name}: must be a .ts file of the UCR and UEA archives, but "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    if labels is None or not len(labels):
        raise DatasetError(
            f"{path.name}: must have labels (@classlabel true, or @targetlabel true)"
        )
    sequences = [np.asarray(one, dtype=np.float64) for one in x]  # [features, steps] each
    return assembled(path, sequences, np.asarray(labels))


def assembled(path: Path, found: list[NDArray[Any]], labels: NDArray[Any]) -> Sequences:
    """Return aeon's sequences one after the other."""
    lengths = np.array([one.shape[1] for one in found], np.int64)
    if not lengths.all():
        at = int(np.argmin(lengths))
        raise DatasetError(f"{path.name}, sequence {at + 1}: must have steps, but has none")
    with np.errstate(over="ignore"):
        x = np.concatenate([one.T for one in found]).astype(np.float32)
    sequences = Sequences(
        x=x,
        lengths=lengths,
        labels=labels.astype(np.float64) if labels.dtype.kind == "f" else labels.astype(np.str_),
        features=tuple(f"{number}" for number in range(x.shape[1])),
    )
    if np.isinf(x).any():
        place = sequences.place(*map(int, np.argwhere(np.isinf(x))[0]))
        raise DatasetError(f"{path.name}, {place}: must be finite and at most 3.4e38 in size")
    return sequences


def check_text(path: Path) -> None:
    """Refuse text in which aeon would stumble, naming the line.

    Raises:
        DatasetError: it is no UTF-8, has no data, or a value is no number.
    """
    lines = read_lines(path)
    begin = next((n for n, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise DatasetError(f"{path.name}: must have a line @data, after which the sequences come")
    labelled = any(
        line.lower().split()[:2] in (["@classlabel", "true"], ["@targetlabel", "true"])
        for line in lines[:begin]
    )
    if not labelled:
        raise DatasetError(
            f"{path.name}: must have labels (@classlabel true, or @targetlabel true)"
        )
    features: int | None = None
    for number, line in enumerate(lines[begin + 1 :], start=begin + 2):
        if not line.strip() or line.startswith(("#", "%")):
            continue
        *channels, label = line.strip().split(":")
        where = f"{path.name}, line {number}"
        if not channels or not label:
            raise DatasetError(f"{where}: must be values, a colon and a label")
        features = features or len(channels)
        if len(channels) != features:
            raise DatasetError(
                f"{where}: must have {features} features as the first sequence has, but has "
                f"{len(channels)}"
            )
        for place, channel in enumerate(channels, start=1):
            check_values(f"{where}, feature {place}", channel)
    if features is None:
        raise DatasetError(f"{path.name}: must have sequences after @data, but has none")


def check_values(where: str, channel: str) -> None:
    """Refuse a value that is neither a number nor the sign for a missing one."""
    for step, text in enumerate(channel.split(","), start=1):
        if text.strip() != "?":
            try:
                float(text)
            except ValueError:
                raise DatasetError(
                    f"{where}, step {step}: must be a number, or ? where it is missing, but got "
                    f"{text.strip()!r}"
                ) from None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path.name}: must be UTF-8 text, but byte {error.start + 1} is not"
        ) from None
