"""A result's own questions: what was chosen, what it beats."""

import math

import pytest

from search.database.result import NotFiniteError, Result, Simple
from tests.search.winners import candidate, result

BASELINE = candidate(0, 0.8, 0.8, baseline=True)
FOUND = result(candidate(2, 0.9, 0.9), BASELINE)


def test_only_what_chance_hardly_does_beats_the_baseline() -> None:
    told = [FOUND.model_copy(update={"chance": chance}) for chance in (0.024, 0.026, None)]
    assert [one.beats_baseline for one in told] == [True, False, False]
    assert result(candidate(2, 0.9)).beats_baseline is None


def test_another_candidate_may_be_chosen() -> None:
    found = FOUND.model_copy(update={"others": (candidate(3, 0.85),)})
    assert [one.of for one in found.candidates] == [2, 0, 3]

    smaller = found.choosing(3)

    assert [one.of for one in smaller.candidates] == [3, 0, 2]
    assert smaller.choosing(2) == found
    stands = found.choosing(0)
    assert (stands.chosen.of, [one.of for one in stands.candidates]) == (0, [0, 2, 3])


@pytest.mark.parametrize(
    ("validation", "test", "unbeaten"),
    [
        (0.8, 0.7, None),
        (0.9, 0.7, ("a linear model", "validation")),
        (0.8, 0.9, ("a linear model", "test")),
        (0.9, 0.9, ("a linear model", "validation")),
    ],
)
def test_a_simple_model_that_is_as_good_is_named(
    validation: float, test: float, unbeaten: tuple[str, str] | None
) -> None:
    simple = [
        Simple(name=name, sees="all", validation=of[0], test=of[1], scores={})
        for name, of in {"a linear model": (validation, test), "the usual": (0.1, 0.1)}.items()
    ]
    chosen = FOUND.chosen.model_copy(update={"test": (0.85, 0.95)})
    found = FOUND.model_copy(update={"chosen": chosen, "simple": tuple(simple)})

    assert found.unbeaten == unbeaten
    assert found.model_copy(update={"direction": "minimize"}).unbeaten == (
        "the usual",
        "validation",
    )
    untested = found.model_copy(update={"chosen": FOUND.chosen})
    assert untested.unbeaten == (unbeaten if validation == 0.9 else None)
    assert FOUND.unbeaten is None


def test_a_result_is_read_as_it_was_written() -> None:
    assert Result.model_validate_json(FOUND.to_json()) == FOUND


def test_a_result_that_nobody_could_read_is_not_written() -> None:
    with pytest.raises(NotFiniteError, match=r"chosen\.validation\.0 is no finite val_"):
        FOUND.knowing({FOUND.chosen.of: {"validation": (math.nan,)}}).to_json()
