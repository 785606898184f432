"""What a person should know about the parts of a data set before they trust a score on them."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.faults import brief
from trainables.sequences import Sequences

if TYPE_CHECKING:
    from trainables.datasets import Part

Parts = Mapping[str, "Part"]
"""Parts by what they are called."""


def duplicates(parts: Parts) -> Iterator[str]:
    """Yield a sentence for each two parts that share sequences."""
    found = {name: digests(part) for name, part in parts.items()}
    for one, other in combinations(parts, 2):
        both, here, there = np.intersect1d(found[one], found[other], return_indices=True)
        if len(both):
            first = here.argmin()
            yield (
                f"{len(both)} sequences are the same in the {one} and in the {other} part, such as "
                f"sequence {here[first] + 1} of the one and {there[first] + 1} of the other"
            )


def digests(part: "Part") -> NDArray[np.void]:
    """Return 16 bytes for each sequence, the same for the same values."""
    found = bytearray()
    for row in range(len(part)):
        values = np.ascontiguousarray(part.sequence(row))
        found += hashlib.blake2b(values.data, digest_size=16).digest()
    return np.frombuffer(found, "V16")


def shared_groups(train: Sequences, test: Sequences | None) -> Iterator[str]:
    """Yield a sentence if a test part that came apart has groups of the training part."""
    if test is not None and train.groups is not None and test.groups is not None:
        both = np.intersect1d(train.groups, test.groups)
        if len(both):
            yield f"the training and the test part share groups: {brief(both.tolist())}"


def rare(parts: Parts, classes: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each part in which classes have fewer than two sequences."""
    for name, part in parts.items():
        few = np.flatnonzero(np.bincount(part.y, minlength=len(classes)) < 2)
        if len(few):
            yield (
                f"the {name} part has fewer than two sequences of {brief(classes[n] for n in few)}"
            )
