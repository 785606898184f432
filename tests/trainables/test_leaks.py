import numpy as np
import pytest

from trainables import leaks
from trainables.datasets import Part
from trainables.sequences import Sequences


def part(*values: float, y: tuple[int, ...] | None = None) -> Part:
    """A part of sequences of two steps that hold one value each."""
    x = np.repeat(np.array(values, np.float32), 2).reshape(-1, 2, 1)
    return Part(x, np.array(y or [0] * len(values)))


def grouped(*groups: object) -> Sequences:
    ones = np.ones(len(groups), np.int64)
    x = np.zeros((len(groups), 1), np.float32)
    return Sequences(x, ones, ones, ("x",), groups=np.array(groups))


def test_sequences_that_two_parts_share() -> None:
    parts = {
        "train": part(1, 2, 3, 3),
        "validation": part(4, np.nan),
        "test": part(9, 3, 2, np.nan),
    }

    assert list(leaks.duplicates(parts)) == [
        (
            "of 4 sequences of the test part 2 are in the train part, too, such as sequence 2, "
            "there 3"
        ),
        (
            "of 4 sequences of the test part 1 is in the validation part, too, such as sequence "
            "4, there 2"
        ),
    ]


def test_sequences_of_unequal_lengths_with_the_same_beginning_differ() -> None:
    short = Part(np.array([[1], [2]], np.float32), np.array([0, 0]), np.array([1, 1]))
    long = Part(np.array([[1], [1], [2]], np.float32), np.array([0, 0]), np.array([2, 1]))

    assert list(leaks.duplicates({"train": short, "test": long})) == [
        ("of 2 sequences of the test part 1 is in the train part, too, such as sequence 2, there 2")
    ]


def test_every_sequence_that_is_elsewhere_is_counted_whatever_its_type() -> None:
    bytes_ = Part(np.full((1, 3, 1), 7, np.uint8), np.array([0]))
    same = Part(np.full((5, 3, 1), 7.0), np.zeros(5, int))

    (note,) = leaks.duplicates({"train": bytes_, "test": same})

    assert note.startswith("of 5 sequences of the test part 5 are in the train part")


@pytest.mark.parametrize(
    ("test", "notes"),
    [
        (grouped("c", "d"), []),
        (grouped("c", "b", "a"), ["the training and the test part share groups: a, b"]),
        (grouped(1, 2), []),
        (None, []),
    ],
)
def test_groups_that_both_parts_have(test: Sequences | None, notes: list[str]) -> None:
    assert list(leaks.shared_groups(grouped("a", "b"), test)) == notes


def test_classes_with_few_sequences() -> None:
    parts = {"train": part(1, 2, 3, 4, y=(0, 0, 1, 1)), "test": part(5, 6, 7, y=(0, 0, 1))}

    assert list(leaks.rare(parts, ("run", "walk"))) == [
        "the test part has fewer than two sequences of walk"
    ]
