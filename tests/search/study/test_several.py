"""Several objectives and limits: what the sampler is told, who is on the front, who is ended."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from search.common.faults import SpecError
from search.common.trial import Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.study.champion import choose, finalists, front, nothing_completed
from search.study.mirror import Mirror
from search.study.retention import needed, top
from search.study.study import JobStudy
from tests.search.conftest import add_job, asked, make_spec, open_study

JOB = "tiny-0001"
BESIDE = "objective={beside: [weights, latency_ms]}"
LIMITS = "objective={limits: {weights: 100}}"


def costs(weights: float, latency_ms: float = 1.0) -> dict[str, float]:
    return {"weights": weights, "size_mb": weights * 4e-6, "latency_ms": latency_ms}


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["objective={beside: [speed]}"], "objective.beside.0: must be one of weights, size_mb"),
        (["objective={beside: [weights, weights]}"], "objective.beside: must name each cost once"),
        (["objective={limits: {weights: 0}}"], "objective.limits: must be numbers above 0"),
        (["objective={limits: {speed: 1}}"], "objective.limits.speed: must be one of weights, s"),
        ([BESIDE, "sampler=gp"], "sampler: must be one of tpe, random, grid, qmc, nsga-ii with"),
        ([BESIDE, "pruner=hyperband"], "pruner: must be none with objective.beside, but got hyp"),
        ([BESIDE, "budget.target=0.9"], "budget.target: must not be given with objective.beside"),
    ],
)
def test_what_several_objectives_cannot_be(overrides: list[str], fault: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(*overrides)
    assert refused.value.faults[0].startswith(fault)


def test_without_a_word_nothing_is_pruned_by_one_of_several_objectives() -> None:
    assert make_spec(BESIDE, "pruner=null").pruner.name == "none"
    assert make_spec(LIMITS, "pruner=null").pruner.name == "successive-halving"


@pytest.mark.parametrize("sampler", ["tpe", "nsga-ii", "random"])
def test_the_sampler_weighs_all_objectives(sampler: str) -> None:
    spec = make_spec(BESIDE, f"sampler={sampler}", "pruner=none", "warm_start=none")
    mirror = Mirror(spec)
    for number in range(12):
        trial = mirror.draw(number)
        assert trial is not None
        mirror.report(number, 1, 0.1)
        mirror.report(number, 2, 0.2)
        ends: Mapping[int, tuple[TrialState, float | None, Any]] = {
            0: (TrialState.PRUNED, None, costs(20)),  # by hours: counts by its last epoch
            1: (TrialState.FAIL, None, None),
        }
        mirror.finish(number, *ends.get(number, (TrialState.COMPLETE, 0.3, costs(10 + number))))
    told = mirror.study.get_trials(deepcopy=False)
    assert [trial.values for trial in told[:3]] == [[0.2, 20, 1.0], None, [0.3, 12, 1.0]]
    assert len(mirror.study.directions) == 3


def test_what_was_read_back_is_what_was_told() -> None:
    spec = make_spec(BESIDE, "objective.limits={weights: 100}", "pruner=none")
    once, again = Mirror(spec), Mirror(spec)
    trial = once.draw(0)
    assert trial is not None
    once.report(0, 1, 0.5)
    once.finish(0, TrialState.COMPLETE, 0.5, costs(150))
    kept = create_trial(
        value=0.5, params=trial.params, distributions=trial.distributions,
        user_attrs={"costs": costs(150)}, intermediate_values={1: 0.5},
    )  # fmt: skip
    again.add(0, again.ended(kept), "x")
    for mirror in (once, again):
        (told,) = mirror.study.get_trials(deepcopy=False)
        assert (told.state, told.values) == (TrialState.COMPLETE, [0.5, 150, 1.0])
        assert told.constraints == {"weights": 50}


@pytest.mark.parametrize("sampler", ["tpe", "nsga-ii"])
def test_the_sampler_keeps_away_from_where_trials_diverge(sampler: str) -> None:
    spec = make_spec(
        BESIDE, f"sampler={sampler}", "pruner=none", "warm_start=none", "baseline=[]",
        "space={learning_rate: {low: 1e-4, high: 100, log: true}, hidden_size: {low: 8, high: 64}}",
    )  # fmt: skip
    mirror = Mirror(spec)
    diverged = []
    for number in range(60):
        trial = mirror.draw(number)
        assert trial is not None
        rate, size = trial.params["learning_rate"], trial.params["hidden_size"]
        value = math.nan if rate > 0.1 else 0.5 + math.log10(rate) / 10  # best beside the cliff
        mirror.report(number, 1, value)
        state = TrialState.PRUNED if rate > 0.1 else TrialState.COMPLETE
        mirror.finish(number, state, None if rate > 0.1 else value, costs(size))
        diverged.append(rate > 0.1)
    assert sum(diverged[20:]) < 25
    told = [mirror.storage.get_trial(mirror.ids[number]) for number in range(60)]
    assert [one.constraints == {"diverged": math.inf} for one in told] == diverged


def complete(number: int, value: float, weights: float, **attrs: Any) -> Any:
    made = create_trial(value=value, user_attrs={"costs": costs(weights)} | attrs)
    made.number = number
    return made


def test_the_front_is_confirmed_first() -> None:
    spec = make_spec(BESIDE, "confirm={top: 3, seeds: 2}", "pruner=none")
    trials = [
        complete(0, 0.5, 5, baseline=True), complete(1, 0.95, 90), complete(2, 0.94, 95),
        complete(3, 0.90, 20), complete(4, 0.89, 30), complete(5, 0.60, 1),
    ]  # fmt: skip
    assert [one.number for one in front(trials, spec)] == [1, 3, 5]
    assert [one.number for one in finalists(trials, spec)] == [1, 3, 5, 0]
    assert [one.number for one in finalists(trials, make_spec("confirm={top: 3}"))] == [1, 2, 3, 0]


def test_who_is_on_the_front_is_kept() -> None:
    trials = [
        complete(0, 0.5, 5, baseline=True), complete(1, 0.95, 90), complete(2, 0.94, 95),
        complete(3, 0.90, 20), complete(5, 0.60, 1),
    ]  # fmt: skip
    spec = make_spec(BESIDE, "confirm={top: 3, seeds: 2}", "pruner=none")
    assert top(trials, spec) == {0, 1, 3, 5}
    assert top(trials, make_spec("confirm={top: 2, seeds: 2}")) == {0, 1, 2}


def test_until_the_choice_anybody_may_come_to_the_front() -> None:
    trials = [complete(0, 0.9, 5), complete(1, 0.8, 90), complete(2, 0.7, 95)]
    spec = make_spec(BESIDE, "confirm={top: 1, seeds: 2}", "pruner=none")
    assert needed(trials, spec, chosen=False) == {0, 1, 2}
    assert needed(trials, spec, chosen=True) == {0}
    assert needed(trials, make_spec("confirm={top: 1, seeds: 2}"), chosen=False) == {0}


def test_of_equal_ones_the_one_is_chosen_whose_weights_are_kept() -> None:
    spec = make_spec(BESIDE, "confirm.top=0", "pruner=none")
    trials = [complete(0, 0.95, 90), complete(1, 0.95, 20), complete(2, 0.60, 1)]
    result = choose(spec, JOB, trials, [])
    assert result is not None
    assert {result.chosen.of} == top(trials, spec) == {1}


def test_a_baseline_that_costs_too_much_wins_only_where_nothing_else_is_there() -> None:
    spec = make_spec(LIMITS, "confirm.top=0", "baseline=[{hidden_size: 16, learning_rate: 0.01}]")
    dear, cheap = complete(0, 0.95, 200, baseline=True), complete(1, 0.7, 50)
    for trials, chosen in (([dear, cheap], 1), ([dear], 0)):
        result = choose(spec, JOB, trials, [])
        assert result is not None
        assert result.chosen.of == chosen
        assert not result.lost_baseline
    lost = choose(spec, JOB, [cheap], [])
    assert lost is not None
    assert (lost.lost_baseline, lost.beats_baseline) == (True, False)


def test_where_all_cost_too_much_that_is_said() -> None:
    over = complete(0, 0.9, 1_500_000.0)
    said = nothing_completed([over], [], make_spec(LIMITS))
    words = "no trial has weights within 100, the least had 1,500,000; `gatetune trials`"
    assert said.startswith(words)
    failed = create_trial(state=TrialState.FAIL, user_attrs={"reason": "x\nValueError: no"})
    said = nothing_completed([failed], [], make_spec())
    assert said.startswith("no trial completed; the last one failed with: ValueError: no")
    said = nothing_completed([over], [failed], make_spec())
    assert said.startswith("no replicate of the confirmation completed; the last one failed with")


@pytest.fixture
def limited(store: Store) -> JobStudy:
    spec = make_spec(
        LIMITS, "baseline=[{learning_rate: 0.01, hidden_size: 16}]", "budget.target=0.9"
    )
    add_job(store, spec, JOB)
    lease = Lease(store, JOB)
    lease.acquire()
    return open_study(store, lease, spec)


def epoch(value: float, weights: float) -> dict[str, float]:
    return {"val_accuracy": value, "val_loss": 1 - value} | costs(weights)


def test_a_trial_that_costs_too_much_ends_with_its_first_epoch(limited: JobStudy) -> None:
    baseline, dear, cheap = asked(limited), asked(limited), asked(limited)
    assert limited.report(baseline.number, 1, epoch(0.95, 200), "running") is Verdict.CONTINUE
    assert limited.report(dear.number, 1, epoch(0.95, 101), "running") is Verdict.PRUNED
    assert limited.report(cheap.number, 1, epoch(0.6, 100), "running") is Verdict.CONTINUE
    assert not limited.is_closed  # by the target, which those have reached that cannot be chosen
    kept = limited.storage.optuna.get_trial(dear.trial_id)
    assert kept.user_attrs["costs"] == costs(101)
    limited.shut()
