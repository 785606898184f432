from typing import Any

import pytest

from search.common.labels import (
    against,
    cost,
    counted,
    describe,
    duration,
    format_value,
    lead,
    mean_and_deviation,
    probability,
    run_name,
)
from trainables.config import TrialConfig

GRU = TrialConfig(cell="gru", hidden_size=96, layers=2, learning_rate=0.0043217)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "GRU 96x2 lr 0.0043"),
        ({"cell": "lstm", "layers": 1, "dropout": 0.3}, "LSTM 96x1 lr 0.0043"),
        ({"dropout": 0.25}, "GRU 96x2 lr 0.0043 dropout 0.25"),
        ({"bidirectional": True}, "GRU 96x2 both ways lr 0.0043"),
    ],
)
def test_a_configuration_in_a_few_words(changes: dict[str, object], words: str) -> None:
    assert describe(GRU.model_copy(update=changes)) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 CPUs"), (0.5, "0.5 CPUs"), (1, "1 CPU"), (1.0, "1 CPU"), (1234567, "1234567 CPUs")],
)
def test_so_many_of_something(number: float, words: str) -> None:
    assert counted(number, "CPU") == words


def test_names_of_runs_sort_by_number_and_say_what_they_are() -> None:
    assert run_name(7, GRU, {}) == "007 GRU 96x2 lr 0.0043"
    assert run_name(0, GRU, {"baseline": True}) == "000 GRU 96x2 lr 0.0043 (baseline)"
    replicate = run_name(12, GRU, {"replicate": 1, "of": 3, "baseline": True})
    assert replicate == "confirm 012 GRU 96x2 lr 0.0043 (baseline) seed 1"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "? s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (187, "3:07 min"),
        (3599.4, "59:59 min"),
        (3599.6, "1:00 h"),
        (7530, "2:05 h"),
        (90000, "25:00 h"),
    ],
)
def test_a_span_of_time(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_metric_has_four_decimals() -> None:
    assert format_value(0.98765) == "0.9877"
    assert format_value(0.0) == "0.0000"
    assert format_value(0.0012345) == "0.001234"
    assert format_value(-123456.7) == "-1.235e+05"
    assert format_value(None) == "–"


def test_a_cost_is_told_as_people_write_it() -> None:
    assert [cost(value) for value in (1_048_576, 100.0, 0.5, 2.34567, 12345.6, None)] == [
        "1,048,576",
        "100",
        "0.5",
        "2.346",
        "12,346",
        "–",
    ]


@pytest.mark.parametrize(
    ("mean", "deviation", "words"),
    [
        (0.9731, 0.00214, "0.9731 ± 0.0021"),
        (0.9731, None, "0.9731"),
        (None, None, "–"),
        (1.234e-05, 1.23e-06, "1.234e-05 ± 1.2e-06"),
        (12345.6, 532.1234, "1.235e+04 ± 5.3e+02"),
    ],
)
def test_a_deviation_has_the_digits_of_its_mean(
    mean: float | None, deviation: float | None, words: str
) -> None:
    assert mean_and_deviation(mean, deviation) == words


def test_a_draw_knows_no_more_than_three_digits() -> None:
    assert [probability(one) for one in (0.0, 0.5, 1.0)] == ["0.001", "0.500", "0.999"]


def test_what_is_worse_is_not_better_by_less_than_nothing() -> None:
    assert lead(0.1, 0.01, 0.2) == ("better by 0.1000", "0.0100 to 0.2000")
    assert lead(-0.1, -0.2, 0.05) == ("worse by 0.1000", "-0.0500 to 0.2000")


@pytest.mark.parametrize(
    ("changes", "stands", "said"),
    [
        ({}, False, "the winner does not surely beat the baseline"),
        ({"beats_baseline": True}, False, "the winner beats the baseline"),
        ({}, True, "the baseline stands: nothing that was tried is surely better"),
        ({"baseline_params": None}, False, "no baseline completed to compare with"),
        ({"beats_baseline": None}, False, None),
    ],
)
def test_what_the_winner_is_to_the_baseline(
    changes: dict[str, Any], stands: bool, said: str | None
) -> None:
    confirmed = {"beats_baseline": False, "baseline_params": {}} | changes
    compared = [{"baseline": stands}, {"baseline": False}]
    assert against({"confirmed": confirmed, "compared": compared}) == said
    assert against({"confirmed": None}) is None


def test_a_baseline_with_which_nothing_was_compared() -> None:
    job = {"confirmed": {"beats_baseline": False}, "compared": [{"baseline": True}]}
    assert against(job) == "the baseline stands: no other trial was there to be compared"
