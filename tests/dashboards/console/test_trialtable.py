from typing import Any

import pytest

from dashboards.console.trialtable import SHOWN, Wanted, table


def row(number: int, value: float | None, **more: Any) -> dict[str, Any]:
    return {
        "trial": number, "best_epoch_value": value, "state": "complete", "cell": "lstm",
        "epochs": number % 3, "baseline": False, "params": {"hidden_size": 16 * (number % 4)},
    } | more  # fmt: skip


ROWS = [
    row(0, 0.5, baseline=True),
    row(1, 0.9, cell="gru"),
    row(2, None, state="failed"),
    row(3, 0.7, params={"head": "last"}),
    row(4, 0.9, state="pruned"),
]
SPENT = row(5, 0.8, state="budget")


def numbers(wanted: Wanted, *, maximize: bool = True) -> list[int]:
    return [one["trial"] for one in table(ROWS, wanted, maximize=maximize)[0]]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", [1, 4, 3, 0, 2]),
        ("trial", [0, 1, 2, 3, 4]),
        ("-trial", [4, 3, 2, 1, 0]),
        ("value", [0, 3, 1, 4, 2]),
        ("trained", [0, 3, 1, 4, 2]),
        ("hidden_size", [0, 4, 1, 2, 3]),
        ("-hidden_size", [2, 1, 0, 4, 3]),
        ("state", [0, 1, 3, 2, 4]),
        ("nothing", [0, 1, 2, 3, 4]),
    ],
)
def test_the_order(order: str, expected: list[int]) -> None:
    assert numbers(Wanted(order)) == expected


def test_epochs_that_are_searched_are_no_epochs_that_were_trained() -> None:
    rows = [row(0, 0.5, params={"epochs": 20}), row(1, 0.5, params={"epochs": 10})]
    for order, expected in (("epochs", [1, 0]), ("trained", [0, 1])):
        ordered = table(rows, Wanted(order), maximize=True)[0]
        assert [one["trial"] for one in ordered] == expected


def test_the_best_is_the_least_where_less_is_better() -> None:
    assert numbers(Wanted(), maximize=False) == [0, 3, 1, 4, 2]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(state="failed"), [2]),
        (Wanted(cell="gru"), [1]),
        (Wanted(text="BASELINE"), [0]),
        (Wanted(text="hidden_size=16 1"), [1]),
        (Wanted(text="head=last"), [3]),
        (Wanted(text="nothing"), []),
    ],
)
def test_the_filters(wanted: Wanted, expected: list[int]) -> None:
    assert numbers(wanted) == expected


def test_parts() -> None:
    rows = [row(number, number / 1000) for number in range(2 * SHOWN + 1)]
    shown, number, _ = table(rows, Wanted(first=2 * SHOWN), maximize=True)
    assert ([one["trial"] for one in shown], number) == ([0], 2 * SHOWN + 1)


def test_a_click_turns_the_order_round() -> None:
    assert [Wanted(order).next("epochs") for order in ("", "epochs", "-epochs")] == [
        "epochs", "-epochs", "epochs",
    ]  # fmt: skip
    assert [Wanted(order).sorting("epochs") for order in ("", "epochs", "-epochs")] == [
        "none", "ascending", "descending",
    ]  # fmt: skip


def test_what_is_counted_as_pruned_is_found_as_that() -> None:
    found, matching, _ = table([*ROWS, SPENT], Wanted(state="pruned"), maximize=True)
    assert ([one["trial"] for one in found], matching) == ([4, 5], 2)


def test_where_fewer_match_than_are_left_out_the_first_part_is_shown() -> None:
    found, number, wanted = table(ROWS, Wanted(first=SHOWN), maximize=True)
    assert (len(found), number, wanted.first) == (len(ROWS), len(ROWS), 0)
