"""Sequences in the format of the UCR and UEA archives, read through aeon."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.faults import DatasetError, brief, is_number, short
from trainables.sequences import Sequences, coarse_column
from trainables.sources.room import check_room
from trainables.sources.text import check_utf8

CLASSES = ["@classlabel", "true"]

ROOM = 6
"""Bytes of memory for each of the file: its lines, and their numbers as aeon and we have them."""


def read(path: Path) -> Sequences:
    """Return the sequences of a ``.ts`` file.

    Raises:
        DatasetError: it is not of that format; names the line.
    """
    labels = check_text(path)
    try:
        from aeon.datasets import load_from_ts_file

        x, _ = load_from_ts_file(str(path))
    except Exception as error:  # aeon raises whatever it stumbles over
        raise DatasetError(
            f"{path.name}: must be a .ts file of the UCR and UEA archives, but "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    return assembled(path, list(x), labels)


def assembled(path: Path, found: list[NDArray[Any]], labels: NDArray[Any]) -> Sequences:
    """Return aeon's sequences, [features, steps] each, one after the other."""
    exact = np.concatenate([one.T for one in found])
    with np.errstate(over="ignore"):
        x = exact.astype(np.float32)
    sequences = Sequences(
        x=x,
        lengths=np.array([one.shape[1] for one in found], np.int64),
        labels=labels,
        features=tuple(f"{number}" for number in range(x.shape[1])),
    )
    if np.isinf(x).any():
        step, feature = map(int, np.argwhere(np.isinf(x))[0])
        raise DatasetError(
            f"{path.name}, {sequences.place(step, feature)}: must be finite and at most 3.4e38 in "
            f"size, but got {exact[step, feature]:g}"
        )
    return replace(sequences, coarse=coarse_column(path.name, exact))


def check_text(path: Path) -> NDArray[Any]:
    """Return the labels as they are written, of text in which aeon does not stumble.

    Aeon's own labels are in small letters.

    Raises:
        DatasetError: it is no UTF-8, has no data or no labels, or a value is no number; names the
            line.
    """
    check_room(path, ROOM * path.stat().st_size)
    check_utf8(path)
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    begin = next((n for n, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise DatasetError(f"{path.name}: must have a line @data, after which the sequences come")
    head = [line.split() for line in lines[:begin]]
    said = [[word.lower() for word in words[:2]] for words in head]
    if ["@timestamps", "true"] in said:
        raise DatasetError(f"{path.name}: must have values alone, but says @timestamps true")
    numbers = ["@targetlabel", "true"] in said
    classes = head[said.index(CLASSES)][2:] if CLASSES in said else []
    if not numbers and not classes:
        raise DatasetError(
            f"{path.name}: must have labels (@classlabel true and the names of the classes, or "
            "@targetlabel true)"
        )
    labels: list[str] = []
    features: int | None = None
    for number, line in enumerate(lines[begin + 1 :], start=begin + 2):
        where = f"{path.name}, line {number}"
        *channels, label = (part.strip() for part in line.split(":"))
        if not channels or not label:
            raise DatasetError(f"{where}: must be values, a colon and a label")
        features = features or len(channels)
        if len(channels) != features:
            raise DatasetError(
                f"{where}: must have {features} features as the first sequence has, but has "
                f"{len(channels)}"
            )
        check_channels(where, channels)
        if numbers and not (is_number(label) and math.isfinite(float(label))):
            raise DatasetError(
                f"{where}: must end in a finite number, its label, but got {label!r}"
            )
        labels.append(label if numbers else declared(where, label, classes))
    if not labels:
        raise DatasetError(f"{path.name}: must have sequences after @data, but has none")
    return np.array([float(label) for label in labels]) if numbers else np.array(labels)


def declared(where: str, label: str, classes: list[str]) -> str:
    """Return a class as the head of the file writes it.

    Raises:
        DatasetError: the head does not name it.
    """
    if label in classes:
        return label
    for name in classes:
        same = is_number(label) and is_number(name) and float(label) == float(name)
        if same or name.lower() == label.lower():
            return name
    if f" {label.lower()} " in f" {' '.join(classes).lower()} ":  # a name of several words
        return label
    raise DatasetError(
        f"{where}: must end in a class of @classlabel, {brief(classes)}, but ends in "
        f"{short(label)!r}"
    )


def check_channels(where: str, channels: list[str]) -> None:
    """Refuse a value that is neither a number nor the sign for a missing one, or that lacks."""
    steps = channels[0].count(",") + 1
    for place, channel in enumerate(channels, start=1):
        values = channel.split(",")
        for step, text in enumerate(values, start=1):
            if text.strip() != "?" and not is_number(text):
                raise DatasetError(
                    f"{where}, feature {place}, step {step}: must be a number, or ? where it is "
                    f"missing, but got {text.strip()!r}"
                )
        if len(values) != steps:
            raise DatasetError(
                f"{where}, feature {place}: must have {steps} steps as feature 1 has, but has "
                f"{len(values)}"
            )
