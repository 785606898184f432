from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.document.spec import JobSpec
from search.study.champion import by_value, choose, finalists, replicates
from tests.search.conftest import make_spec

CONFIRM = "confirm={top: 2, seeds: 2}"


def trial(number: int, value: float | None, **attrs: Any) -> FrozenTrial:
    """A complete trial, or a failed one without a value."""
    state = TrialState.FAIL if value is None else TrialState.COMPLETE
    made = create_trial(state=state, value=value, user_attrs=attrs)
    made.number = number
    return made


def confirm(values: dict[int, list[float | None]]) -> list[FrozenTrial]:
    """The replicates of trials, by the number of the trial that each is of."""
    runs = [(of, value) for of, several in values.items() for value in several]
    return [trial(number, value, of=of) for number, (of, value) in enumerate(runs)]


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return [one.number for one in trials]


SEARCHED = [
    trial(0, 0.80, baseline=True),
    trial(1, 0.70, baseline=True),
    trial(2, 0.90),
    trial(3, 0.95),
    trial(4, 0.85),
    trial(5, None),
]


def test_trials_are_ranked_by_value_and_ties_by_number() -> None:
    tied = [trial(0, 0.5), trial(1, 0.7), trial(2, 0.7), trial(3, None)]
    assert numbers(by_value(reversed(tied), "maximize")) == [1, 2, 0]
    assert numbers(by_value(reversed(tied), "minimize")) == [0, 1, 2]


def test_finalists_are_the_best_found_and_the_better_baseline() -> None:
    assert numbers(finalists(SEARCHED, make_spec(CONFIRM))) == [3, 2, 0]
    assert numbers(finalists(SEARCHED[2:], make_spec(CONFIRM))) == [3, 2]
    loss = make_spec(CONFIRM, "objective={metric: val_loss}")
    assert numbers(finalists(SEARCHED, loss)) == [4, 2, 1]


def test_the_last_of_several_finalists_of_one_cell_makes_room_for_the_other() -> None:
    trials = [trial(number, 1 - number / 10) for number in range(6)]
    for one, cell in zip(trials, ("lstm", "lstm", "lstm", "gru", "gru", "lstm"), strict=True):
        one.params = {"cell": cell}
    assert numbers(finalists(trials, make_spec("confirm={top: 3, seeds: 2}"))) == [0, 1, 3]
    assert numbers(finalists(trials, make_spec("confirm={top: 4, seeds: 2}"))) == [0, 1, 2, 3]
    assert numbers(finalists(trials, make_spec("confirm={top: 1, seeds: 2}"))) == [0]


def test_every_finalist_is_trained_with_the_same_fresh_seeds() -> None:
    again = replicates(SEARCHED, make_spec(CONFIRM))
    assert [(one.attrs["of"], one.attrs["replicate"]) for one in again] == [
        (3, 0), (3, 1), (2, 0), (2, 1), (0, 0), (0, 1),
    ]  # fmt: skip
    seeds = [one.seed for one in again]
    assert seeds == seeds[:2] * 3
    assert seeds[0] != seeds[1]
    assert ["baseline" in one.attrs for one in again] == [False] * 4 + [True] * 2


def test_those_that_take_longest_are_trained_first() -> None:
    searched = [
        trial(0, 0.8, baseline=True, overrides={"epochs": 40}),
        trial(1, 0.9),
        trial(2, 0.95),
    ]
    searched[1].params = {"cell": "gru", "hidden_size": 64}
    searched[2].params = {"cell": "lstm", "hidden_size": 16}
    for one in searched[1:]:
        one.distributions = {name: CategoricalDistribution([v]) for name, v in one.params.items()}
    again = replicates(searched, make_spec(CONFIRM))
    assert [one.attrs["of"] for one in again] == [0, 0, 1, 1, 2, 2]


def test_replicates_keep_what_a_baseline_overrides() -> None:
    baseline = trial(0, 0.8, baseline=True, overrides={"batch_size": 32})
    assert replicates([baseline], make_spec(CONFIRM))[0].overrides == {"batch_size": 32}


class TestChoose:
    @pytest.fixture
    def spec(self) -> JobSpec:
        return make_spec(CONFIRM)

    def test_confirmation_decides_not_the_search(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.80, 0.82], 2: [0.90, 0.92], 0: [0.70, 0.72]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert (result.chosen.of, result.chosen.runs, result.champion_run) == (2, (2, 3), 3)
        assert [one.of for one in result.baselines] == [0]
        assert [one.of for one in result.others] == [3]
        assert result.study == "tiny-0001/confirm"

    def test_a_lost_replicate_costs_the_win(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.99, None], 2: [0.90, 0.92], 0: [0.70, 0.72]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert result.chosen.of == 2
        assert [(one.of, one.missing) for one in result.others] == [(3, 1)]

    def test_where_all_lost_a_replicate_the_values_decide(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.90, None], 2: [None, 0.95], 0: [0.70, None]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert (result.chosen.of, result.chosen.validation) == (2, (0.95,))

    def test_ties_keep_the_earlier_trial(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.9, 0.9], 2: [0.9, 0.9], 0: [0.5, 0.5]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert result.chosen.of == 2

    def test_a_baseline_may_win_and_does_not_beat_itself(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.80, 0.82], 2: [0.81, 0.83], 0: [0.90, 0.92]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert (result.chosen.of, result.chosen.baseline, result.beats_baseline) == (0, True, False)
        assert result.measured == [result.chosen]

    def test_without_a_confirmation_the_search_decides(self) -> None:
        result = choose(make_spec("confirm.top=0"), "tiny-0001", SEARCHED, [])
        assert result is not None
        assert (result.chosen.of, result.champion_run, result.study) == (3, 3, "tiny-0001")
        assert [one.of for one in result.baselines] == [0, 1]
        assert result.others == ()
        assert [one.of for one in result.measured] == [3, 0, 1]
        assert (result.confirmed, result.beats_baseline) == (False, False)  # of one run each

    def test_a_job_without_baseline_beats_none(self) -> None:
        result = choose(make_spec("confirm.top=0"), "tiny-0001", SEARCHED[2:], [])
        assert result is not None
        assert (result.rival, result.beats_baseline) == (None, None)
        assert result.summary()["baseline_validation_mean"] is None

    def test_nothing_complete_is_no_result(self, spec: JobSpec) -> None:
        assert choose(spec, "tiny-0001", [trial(0, None)], []) is None
        lost = confirm({3: [None], 2: [None], 0: [None]})
        assert choose(spec, "tiny-0001", SEARCHED, lost) is None

    def test_the_summary_has_mean_and_deviation(self, spec: JobSpec) -> None:
        confirmed = confirm({3: [0.90, 0.94], 2: [0.8, 0.8], 0: [0.70, 0.74]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        shown = result.summary()
        assert shown["seeds"] == 2
        assert shown["validation_mean"] == pytest.approx(0.92)
        assert shown["validation_sd"] == pytest.approx(0.04 / 2**0.5)
        assert shown["baseline_validation_mean"] == pytest.approx(0.72)
        assert (shown["test_mean"], shown["test_sd"]) == (None, None)

    def test_a_loss_is_better_where_it_is_smaller(self) -> None:
        spec = make_spec("confirm={top: 1, seeds: 2}", "objective={metric: val_loss}")
        confirmed = confirm({4: [0.2, 0.3], 1: [0.5, 0.4]})
        result = choose(spec, "tiny-0001", SEARCHED, confirmed)
        assert result is not None
        assert (result.chosen.of, result.champion_run) == (4, 0)
