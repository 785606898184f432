import pytest

from trainables.faults import DatasetError
from trainables.sources.columns import Columns, Layout, find


def cells(*names: str) -> Layout:
    return find("t.csv", [*names, "label"], Columns())


@pytest.mark.parametrize(
    ("names", "features", "in_order"),
    [
        (["x_1", "x_0", "x_2"], ("x",), ("x_0", "x_1", "x_2")),
        (["x9", "x10", "x8"], ("x",), ("x8", "x9", "x10")),
        (["x_1", "y_1", "x_2", "y_2"], ("x", "y"), ("x_1", "y_1", "x_2", "y_2")),
        (["x.1", "x.2", "y-1", "y 2"], ("x", "y"), ("x.1", "y-1", "x.2", "y 2")),
        (["1", "0"], ("value",), ("0", "1")),
        (["0.5", "0.25", "1", "1e-3"], ("value",), ("1e-3", "0.25", "0.5", "1")),
        (["0.0", "0.1", "1.0", "1.1"], ("value",), ("0.0", "0.1", "1.0", "1.1")),
        (["-2", "-1", "0", "1"], ("value",), ("-2", "-1", "0", "1")),
        (["t+1", "t-1", "t-2"], ("t",), ("t-2", "t-1", "t+1")),
        (["a-1", "b-1", "a+1", "b+1"], ("a", "b"), ("a-1", "b-1", "a+1", "b+1")),
        (["nan", "1"], ("value",), ("nan", "1")),
        (["a", "b"], ("value",), ("a", "b")),
        (["x_1", "b"], ("value",), ("x_1", "b")),
        (["mon1", "tue1", "wed1"], ("value",), ("mon1", "tue1", "wed1")),
        (["x_5"], ("x",), ("x_5",)),
        (["x_" + "9" * 5000], ("value",), ("x_" + "9" * 5000,)),
    ],
)
def test_columns_of_the_wide_form(
    names: list[str], features: tuple[str, ...], in_order: tuple[str, ...]
) -> None:
    found = cells(*names)

    assert (found.features, found.cells) == (features, in_order)
    assert found.steps == len(names) / len(features)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x_0", "x_1", "y_0"], "t.csv: each feature must .* x has step 1 and y has not$"),
        (["x_0", "y_0", "y_1"], "t.csv: each feature must .* y has step 1 and x has not$"),
        (["x_0", "x_1", "y_1", "y_2"], "but x has step 0 and y has not$"),
        (["0.50", "0.5"], "column 0.5: must be a step of its own, but 0.50 is the same$"),
        (["t-1", "t+1", "s+1"], "t.csv: each feature must .* t has step -1 and s has not$"),
        (["x_1", "x_01"], "column x_01: must be a step of its own, but x_1 is the same$"),
    ],
)
def test_columns_of_the_wide_form_that_do_not_fit(names: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        cells(*names)


def test_what_names_suggest() -> None:
    found = find("t.csv", ["ID", " Timestamp", "t", "Class", "x"], Columns())

    assert (found.sequence, found.step, found.label) == ("ID", " Timestamp", ("Class",))
    assert found.features == ("t", "x")
    assert found.used == ["ID", " Timestamp", "Class", "t", "x"]


def test_y_is_no_label_where_it_is_measured_in_space() -> None:
    with pytest.raises(DatasetError, match=r"is called label, labels, class, target; it"):
        find("t.csv", ["id", "step", "x", "Y", "z", "activity"], Columns())
    assert find("t.csv", ["id", "step", "x", "y"], Columns()).label == ("y",)


def test_what_is_called_as_a_label_is_learned_from_only_if_the_document_says_so() -> None:
    names = ["sequence", "step", "a", "Target", "label"]
    with pytest.raises(DatasetError, match=r"^t.csv, column Target: is called as what is learned"):
        find("t.csv", names, Columns())

    assert find("t.csv", names, Columns(features=("a", "Target"))).features == ("a", "Target")
    assert find("t.csv", names, Columns(label=("Target", "label"))).features == ("a",)
    assert find("t.csv", names, Columns(), labelled=False).features == ("a", "Target")


def test_what_is_named_comes_before_what_names_suggest() -> None:
    said = Columns(label=("id",), sequence="run", group="label", features=("x",))

    found = find("t.csv", ["id", "run", "label", "x", "y", "t"], said)

    assert (found.label, found.sequence, found.step) == (("id",), "run", "t")
    assert (found.group, found.features) == ("label", ("x",))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x_0", "x_1"], "a row a sequence: label label, 2 steps of x"),
        (
            ["id", "x"],
            "a row a step: sequence id, in the order of the file, label label, features x",
        ),
        (["id", "t", "x"], "a row a step: sequence id, ordered by t, label label, features x"),
    ],
)
def test_a_layout_in_words(names: list[str], words: str) -> None:
    assert cells(*names).describe() == words


class Compared(str):
    """A name that counts how often one is compared."""

    __slots__ = ()
    number = 0

    def __eq__(self, other: object) -> bool:
        Compared.number += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


def test_many_columns_are_named_quickly() -> None:
    names = [f"column {number}" for number in range(50_000)]

    found = find("t.csv", [*names, "id", "label"], Columns(features=tuple(names)))

    assert found.features == tuple(names)


def test_no_column_is_looked_for_among_all() -> None:
    names, given = ([Compared(f"column {n}") for n in range(500)] for _ in range(2))
    Compared.number = 0

    find("t.csv", [*names, Compared("label")], Columns(features=tuple(given)))

    assert Compared.number < 20 * len(names)


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        (["t-3", "t-2", "t-1", "t0"], ["t-3", "t-2", "t-1", "t0"]),
        (["lag_1", "lag_2", "lag_3"], ["lag_3", "lag_2", "lag_1"]),
        (["a_t-2", "b_t-2", "a_t-1", "b_t-1"], ["a_t-2", "b_t-2", "a_t-1", "b_t-1"]),
        (["price_lag1", "price_lag2"], ["price_lag2", "price_lag1"]),
        (["flag_1", "flag_2"], ["flag_1", "flag_2"]),
        (["t_1", "t_2"], ["t_1", "t_2"]),
        (["lag_1", "lag_2", "x_1", "x_2"], ["lag_1", "x_1", "lag_2", "x_2"]),
    ],
)
def test_steps_that_are_named_by_how_long_ago_they_were_end_with_the_latest(
    names: list[str], cells: list[str]
) -> None:
    assert list(find("t.csv", [*names, "label"], Columns()).cells) == cells


@pytest.mark.parametrize("cells", [("lag_1", "lag_2"), ("lag_2", "lag_1")])
def test_a_model_keeps_the_order_that_it_has_learned(cells: tuple[str, ...]) -> None:
    known = Columns(label=("label",), features=cells)
    assert find("t.csv", ["lag_2", "lag_1"], known, labelled=False).cells == cells
