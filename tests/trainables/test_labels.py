import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.faults import DatasetError
from trainables.labels import classes_of, encode
from trainables.sequences import Sequences


def of(labels: Any, *targets: str) -> Sequences:
    """Sequences of one step with labels."""
    y = np.array(labels)
    ones = np.ones(len(y), np.int64)
    return Sequences(np.zeros((len(y), 1), np.float32), ones, y, ("x",), targets or ("mood",))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 2, 9], ("2", "9", "10")),
        (["10", "9", "2"], ("2", "9", "10")),
        ([-1.0, 1.0, -0.0], ("-1", "0", "1")),
        ([True, False], ("False", "True")),
        (["b", "a", "10"], ("10", "a", "b")),
        (["01", "1", "2", "001"], ("001", "01", "1", "2")),
        (["1.5", "2"], ("1.5", "2")),
        (["²", "1"], ("1", "²")),
        (["9" * 5000, "1"], ("1", "9" * 5000)),
        ([1e20, 3.0], ("3", "100000000000000000000")),
        (np.array([2, 1], np.float16), ("1", "2")),
        (np.array([2**64 - 1, 0], np.uint64), ("0", "18446744073709551615")),
    ],
)
def test_classes_and_their_order(labels: Any, classes: tuple[str, ...]) -> None:
    assert classes_of(of(labels), None) == classes


def test_text_and_numbers_stand_for_the_same_classes() -> None:
    assert (
        classes_of(of([1, 2]), of(["2", "1"])) == classes_of(of([1.0, 2.0]), of([2])) == ("1", "2")
    )


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=20)
    | st.lists(st.text("ab19", min_size=1, max_size=3), min_size=2, max_size=20)
)
def test_encoded_labels_are_places_in_the_classes(labels: list[Any]) -> None:
    if len(set(labels)) < 2:
        return
    found = of(labels)
    classes = classes_of(found, None)

    y = encode(found.labels, classes)

    assert y.dtype == np.int64
    assert [classes[place] for place in y] == [str(label) for label in labels]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (of([1, 1]), None, "label mood: must have at least two classes, but has 1 alone"),
        (of(["a\nb"]), None, "label mood: must have at least two classes, but has 'a\\nb' alone"),
        (
            of([1.0, 1.0, 2.5]),
            None,
            "label mood, sequence 3: must be a class, a text or a whole number, but got 2.5",
        ),
        (
            of([0, 1]),
            of([0.0, 0.5]),
            "label mood, sequence 2: must be a class, a text or a whole number, but got 0.5",
        ),
        (
            of([0, 1]),
            of([3, 0, 20, 3]),
            "label mood: must be a class of the training part, but the test part has 3, 20",
        ),
        (
            of(range(10_000)),
            None,
            "label mood: must have at most 1000 classes, but 10000 sequences have 10000",
        ),
        (
            of(["a", "b", "NaN"]),
            None,
            (
                "label mood, sequence 3: must be a class, but 'NaN' says that it is missing; leave "
                "the sequence out, or call the class otherwise"
            ),
        ),
        (
            of([[1.0, 0.0], [0.0, 1.0]], "y0", "y1"),
            None,
            (
                "label y0, y1: must be one value a sequence, but is a column for each class; "
                "y.argmax(axis=1) makes numbers of classes of it"
            ),
        ),
        (of([[1.0, 2.0]], "a", "b"), None, "data.label: must be one column, but got a, b"),
    ],
)
def test_labels_that_are_no_classes(train: Sequences, test: Sequences | None, message: str) -> None:
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        classes_of(train, test)
