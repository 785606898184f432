"""Sequences as a source has them, before they are split; light to import."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 16
"""Values that 32 bits must tell apart between the least and the most of a feature."""

CONSTANT = 1e-9
"""What part of a value is noise."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """The sequences of one file, or of one part of a named data set.

    Attributes:
        x: [all steps, features], the sequences one after the other; uint8, or float32 in which a
            missing value is NaN.
        lengths: [sequences] int64, at least 1 each.
        labels: [sequences] text, whole numbers or truth values; or float64
            [sequences, targets], finite, which is [sequences, 0] where there are none. No objects.
        features: a name for each feature.
        targets: a name for each target, or the one of the label.
        groups: [sequences], what must stay together in one part; None where nothing must.
        times: [sequences], what orders the sequences; None where nothing does.
        ids: [sequences], what each is called in the file; None where they have no names, or
            nobody asked.
        cells: columns of a table in which each row is a sequence, step by step.
        sequence: the column of a table in which each row is a step that says to which sequence it
            belongs.
        step: the column that orders the steps; None where the order of the table does.
        read_as: which column is what, in words; empty where there are no columns.
        coarse: what forbids to learn from them, since 32 bits hardly tell their values apart.
    """

    x: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]
    features: tuple[str, ...]
    targets: tuple[str, ...] = ("label",)
    groups: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    read_as: str = ""
    cells: tuple[str, ...] = ()
    sequence: str | None = None
    step: str | None = None
    coarse: str | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether there are labels."""
        return bool(self.labels.size)

    def place(self, step: int, feature: int) -> str:
        """Return where a value lies, as a person counts: from 1.

        Args:
            step: of all steps.
            feature: its number.
        """
        ends = np.cumsum(self.lengths)
        sequence = int(np.searchsorted(ends, step, side="right"))
        inside = step - int(ends[sequence] - self.lengths[sequence]) + 1
        return f"sequence {sequence + 1}, step {inside}, feature {self.features[feature]}"


def coarse(where: str, low: float, high: float) -> str | None:
    """Return what is wrong with values that 32 bits hardly tell apart, such as seconds since 1970.

    What is equal but for the last digits of 64 bits is all right: it is constant.

    Args:
        where: what has these values, for the message.
        low: the least of them.
        high: the most.
    """
    large, span = max(abs(low), abs(high)), high - low
    step = large * 2.0**-23
    if not CONSTANT * large < span < LEVELS * step:
        return None
    return (
        f"{where}: must vary by more than numbers of 32 bits tell apart, which is {step:g} at "
        f"{large:g}, but varies by {span:g}; subtract what is common to all values"
    )


def coarse_column(where: str, exact: NDArray[Any]) -> str | None:
    """Return `coarse` of the first feature of [all steps, features] of which it says anything.

    NaN is no value.
    """
    ends = ((np.fmin.reduce(one), np.fmax.reduce(one)) for one in exact.T)
    said = (
        coarse(f"{where}, feature {place}", float(low), float(high))
        for place, (low, high) in enumerate(ends)
    )
    return next(filter(None, said), None)


def unlabelled(count: int) -> NDArray[np.float64]:
    """Return the labels of sequences that have none."""
    return np.empty((count, 0))


def pictures(x: NDArray[np.uint8], y: NDArray[Any], classes: tuple[str, ...]) -> Sequences:
    """Return pictures [pictures, rows, columns] as sequences of rows, y as the names of classes."""
    count, rows, columns = x.shape
    return Sequences(
        x=x.reshape(count * rows, columns),
        lengths=np.full(count, rows, np.int64),
        labels=np.array(classes)[y],
        features=tuple(f"column {number}" for number in range(columns)),
    )
