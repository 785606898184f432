"""What a person should know about the parts of a data set before they trust a score on them."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from trainables.faults import brief
from trainables.labels import in_order
from trainables.sequences import Sequences

if TYPE_CHECKING:
    from trainables.datasets import Part

Parts = Mapping[str, "Part"]
"""Parts by what they are called."""


def duplicates(parts: Parts) -> Iterator[str]:
    """Yield a sentence for each two parts that share sequences."""
    found = {name: digests(part) for name, part in parts.items()}
    for one, other in combinations(parts, 2):
        here = {digest: row for row, digest in reversed(list(enumerate(found[one])))}
        there = [row for row, digest in enumerate(found[other]) if digest in here]
        if there:
            yield (
                f"of {len(found[other])} sequences of the {other} part {len(there)} "
                f"{'is' if len(there) == 1 else 'are'} in the {one} part, too, such as sequence "
                f"{there[0] + 1}, there {here[found[other][there[0]]] + 1}"
            )


def digests(part: "Part") -> list[bytes]:
    """Return 16 bytes for each sequence, the same for the same values of whatever type."""
    rows = (np.ascontiguousarray(part.sequence(row), np.float32) for row in range(len(part)))
    return [hashlib.blake2b(values.data, digest_size=16).digest() for values in rows]


def shared_groups(train: Sequences, test: Sequences | None) -> Iterator[str]:
    """Yield a sentence if a test part that came apart has groups of the training part."""
    if test is not None and train.groups is not None and test.groups is not None:
        both = set(map(str, train.groups)) & set(map(str, test.groups))
        if both:
            yield f"the training and the test part share groups: {brief(in_order(both))}"


def rare(parts: Parts, classes: tuple[str, ...]) -> Iterator[str]:
    """Yield a sentence for each part in which classes have fewer than two sequences."""
    for name, part in parts.items():
        few = np.flatnonzero(np.bincount(part.y, minlength=len(classes)) < 2)
        if len(few):
            yield (
                f"the {name} part has fewer than two sequences of {brief(classes[n] for n in few)}"
            )
