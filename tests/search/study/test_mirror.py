import math

import pytest
from optuna.samplers import CmaEsSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from search.document.samplers import Tpe
from search.document.spec import JobSpec
from search.study.cost import typical_s
from search.study.mirror import Mirror
from tests.search.conftest import make_spec
from trainables.config import Parameters

SMALL = "space={cell: [lstm, gru], hidden_size: [8, 16]}"


def drawn(mirror: Mirror, *numbers: int) -> list[Parameters]:
    trials = [mirror.draw(number) for number in numbers]
    return [trial.params for trial in trials if trial is not None]


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    spec = make_spec("sampler=random")
    first, second, third = drawn(Mirror(spec), 0, 1, 2)
    assert drawn(Mirror(spec), 2, 0) == [third, first]
    assert drawn(Mirror(make_spec("sampler=random", "seed=1")), 0) != [first]
    assert second not in (first, third)


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "grid"])
def test_a_small_space_is_drawn_whole_and_without_doubles(sampler: str) -> None:
    mirror = Mirror(make_spec(SMALL, f"sampler={sampler}"))
    found = drawn(mirror, 0, 1, 2, 3)
    assert sorted((p["cell"], p["hidden_size"]) for p in found) == [
        ("gru", 8), ("gru", 16), ("lstm", 8), ("lstm", 16),
    ]  # fmt: skip
    assert mirror.draw(4) is None


def test_a_configuration_that_was_fixed_is_not_drawn_again() -> None:
    mirror = Mirror(make_spec(SMALL))
    fixed: Parameters = {"cell": "gru", "hidden_size": 8}
    mirror.add(0, mirror.frozen(fixed), mirror.identity(fixed, {}))
    assert fixed not in drawn(mirror, 1, 2, 3)
    assert mirror.draw(4) is None


def test_a_sampler_that_proposes_the_same_for_ever_is_helped_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.study.mirror.make_sampler", lambda *_: RandomSampler(seed=0))
    spec = make_spec("space={learning_rate: {low: 1.0e-4, high: 0.1, log: true}}")
    first, second, third = drawn(Mirror(spec), 0, 1, 2)
    assert first != second != third != first
    assert drawn(Mirror(spec), 0, 1, 2) == [first, second, third]


def test_where_few_configurations_have_no_end_they_are_found_all_the_same() -> None:
    rare = (
        "weight_decay: {low: 1.0e-6, high: 0.1, log: true, when: {optimizer: adamw, batch_size: 8}}"
    )
    space = f"space={{batch_size: [8, 16, 32, 64, 128], optimizer: [adam, adamw], {rare}}}"
    mirror = Mirror(make_spec("sampler=random", space))
    found = drawn(mirror, *range(60))
    assert len(found) == 60
    assert sum("weight_decay" in parameters for parameters in found) == 60 - 9


def test_a_space_that_gives_nothing_new_any_more_is_exhausted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.study.mirror.RandomSampler", lambda _: RandomSampler(seed=0))
    monkeypatch.setattr("search.study.mirror.make_sampler", lambda *_: RandomSampler(seed=0))
    mirror = Mirror(make_spec("space={learning_rate: {low: 1.0e-4, high: 0.1, log: true}}"))
    assert len(drawn(mirror, 0)) == 1
    assert mirror.draw(1) is None


def test_what_differs_in_other_settings_alone_may_be_drawn() -> None:
    mirror = Mirror(make_spec(SMALL))
    fixed: Parameters = {"cell": "gru", "hidden_size": 8}
    overrides: Parameters = {"batch_size": 32}
    mirror.add(0, mirror.frozen(fixed), mirror.identity(fixed, overrides))
    assert fixed in drawn(mirror, 1, 2, 3, 4)


def test_parameters_that_count_for_nothing_make_no_new_trial() -> None:
    dropout = "space={layers: [1, 2], dropout: {low: 0.0, high: 0.2, step: 0.1, when: {layers: 2}}}"
    mirror = Mirror(make_spec(dropout, "training={epochs: 4}"))
    found = drawn(mirror, *range(4))
    assert {"layers": 1} in found
    assert mirror.draw(4) is None


def taught(spec: JobSpec, *, best: str) -> list[str]:
    """Return the cells of 20 trials after 12, one cell being far better than the other."""
    mirror = Mirror(spec)
    cells = []
    for number in range(32):
        trial = mirror.draw(number)
        assert trial is not None
        cells.append(trial.params["cell"])
        value = 0.9 if cells[-1] == best else 0.1
        mirror.report(number, 1, value)
        mirror.finish(number, TrialState.COMPLETE, value)
    return cells[12:]


@pytest.mark.parametrize("best", ["lstm", "gru"])
def test_the_sampler_learns_from_reports_and_ends(best: str) -> None:
    spec = make_spec("sampler=tpe", "warm_start=none")
    assert taught(spec, best=best).count(best) >= 14


def told(mirror: Mirror, numbers: range, trials: dict[int, FrozenTrial]) -> None:
    """Let trials be drawn and end, the earlier the better."""
    for number in numbers:
        drawn_trial = mirror.draw(number)
        assert drawn_trial is not None
        mirror.report(number, 1, 1.0 / (number + 1))
        mirror.finish(number, TrialState.COMPLETE, 1.0 / (number + 1))
        trials[number] = mirror.storage.get_trial(mirror.ids[number])


def test_the_best_and_the_newest_trials_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tpe, "history", 40)
    mirror, trials = Mirror(make_spec("budget.trials=200")), dict[int, FrozenTrial]()
    told(mirror, range(60), trials)
    running = mirror.draw(60)
    assert sorted(mirror.ids) == [*range(4), *range(24, 61)]
    assert running is not None
    told(mirror, range(61, 81), trials)
    assert sorted(mirror.ids) == [*range(4), *range(43, 81)]
    assert len(mirror.study.trials) == len(mirror.ids)


def test_of_those_that_diverged_none_is_remembered_as_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tpe, "history", 40)
    aim = "objective={metric: val_loss, beside: [weights]}"
    mirror = Mirror(make_spec("budget.trials=200", aim, "pruner=none"))
    for number in range(60):
        assert mirror.draw(number) is not None
        diverged = number < 10
        mirror.report(number, 1, math.nan if diverged else number)
        state = TrialState.PRUNED if diverged else TrialState.COMPLETE
        mirror.finish(number, state, None if diverged else number, {"weights": 1.0})
    assert mirror.draw(60) is not None
    assert sorted(mirror.ids) == [*range(10, 14), *range(24, 61)]


def test_a_driver_that_is_started_again_forgets_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tpe, "history", 40)
    spec = make_spec("budget.trials=200")
    first, trials = Mirror(spec), dict[int, FrozenTrial]()
    told(first, range(90), trials)
    again = Mirror(spec)
    for number, trial in trials.items():
        again.add(number, trial, again.identity(trial.params, {}))
    assert drawn(again, 90) == drawn(first, 90)
    assert sorted(again.ids) == sorted(first.ids)


def test_a_sampler_remembers_enough_to_begin_to_learn() -> None:
    assert make_spec().sampler.history == 1000
    assert make_spec("sampler={name: tpe, n_startup_trials: 3000}").sampler.history == 6000
    assert make_spec("sampler=random").sampler.history is None


def test_what_samplers_remember_is_taken_over() -> None:
    spec = make_spec()
    mirror = Mirror(spec)
    mirror.restore_attrs({"sampler:note": [1, 2]})
    assert mirror.attrs() == {"sampler:note": [1, 2]}


def test_the_last_trials_are_drawn_together_and_the_longest_first() -> None:
    spec = make_spec("sampler=random")
    mirror, alone = Mirror(spec), Mirror(spec)

    drawn = [mirror.next(n, left=5 - n, slots=3) for n in range(5)]

    assert all(drawn)
    plain = [alone.next(n, left=5 - n, slots=1) for n in range(5)]
    configs, usual = (
        [spec.config(trial.params) for trial in found if trial is not None]
        for found in (drawn, plain)
    )
    assert configs[:2] == usual[:2]
    assert configs[2:] == sorted(usual[2:], key=typical_s, reverse=True) != usual[2:]
    # What is reported reaches the trial that was given the number.
    for number, config in enumerate(configs):
        trial = mirror.storage.get_trial(mirror.ids[number])
        assert spec.config(trial.params) == config


def test_the_last_trials_have_no_gap_where_a_draw_finds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirror = Mirror(make_spec("sampler=random"))
    draw = mirror.draw
    monkeypatch.setattr(mirror, "draw", lambda number: None if number == 1 else draw(number))

    first = mirror.next(0, left=3, slots=3)

    assert first is not None
    assert mirror.next(1, left=2, slots=3) is None
    assert list(mirror.ids) == [0]


def test_of_a_space_that_ends_the_last_ones_are_drawn_too() -> None:
    spec = make_spec("space={cell: [lstm, gru]}", "sampler=random")
    mirror = Mirror(spec)

    drawn = [mirror.next(n, left=4 - n, slots=4) for n in range(3)]

    assert [trial is None for trial in drawn] == [False, False, True]


def test_the_last_trials_may_be_drawn_where_earlier_ones_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tpe, "history", property(lambda _: 10))
    spec = make_spec("sampler={name: tpe, n_startup_trials: 4}")
    mirror = Mirror(spec)
    for number in range(14):
        assert mirror.next(number, left=17 - number, slots=1) is not None
        mirror.finish(number, TrialState.COMPLETE, 0.1 * number)

    drawn = [mirror.next(number, left=17 - number, slots=3) for number in range(14, 17)]

    assert mirror.forgot_at == 15
    for number, trial in enumerate(drawn, start=14):
        assert trial is not None
        mirror.report(number, 1, 0.5)
        assert mirror.storage.get_trial(mirror.ids[number]).params == trial.params


ODD_ORDER = "space={optimizer: [adamw, adam], hidden_size: [8, 16], cell: [lstm, gru]}"


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "nsga-ii"])
def test_a_job_that_is_read_back_draws_as_it_began(sampler: str) -> None:
    spec = make_spec(ODD_ORDER, f"sampler={sampler}")
    again = JobSpec.from_json(spec.to_json())
    assert drawn(Mirror(spec), 0, 1, 2, 3) == drawn(Mirror(again), 0, 1, 2, 3)


def finished(mirror: Mirror, parameters: Parameters) -> FrozenTrial:
    """A trial of an earlier driver that has ended."""
    trial = mirror.frozen(parameters)
    trial.state, trial.value = TrialState.COMPLETE, 0.5
    return trial


def test_a_grid_goes_on_from_trials_that_were_written_in_another_order() -> None:
    mirror = Mirror(make_spec(SMALL, "sampler=grid"))
    earlier: Parameters = {"hidden_size": 8, "cell": "gru"}
    trial = finished(mirror, earlier)
    trial.distributions = dict(reversed(trial.distributions.items()))
    mirror.add(0, mirror.ended(trial), mirror.identity(earlier, {}))
    found = drawn(mirror, 1, 2, 3)
    assert len(found) == 3
    assert earlier not in found


CONDITIONAL = "dropout: {choices: [0.0, 0.2, 0.4], when: {layers: {at_least: 2}}}"


def test_a_grid_is_drawn_whole_beside_a_baseline_outside_of_its_conditions() -> None:
    space = f"space={{hidden_size: [8, 16], {CONDITIONAL}}}"
    mirror = Mirror(make_spec(space, "training.layers=2", "sampler=grid"))
    single: Parameters = {"hidden_size": 8}
    mirror.add(0, mirror.frozen(single), mirror.identity(single, {"layers": 1}))
    mirror.report(0, 1, 0.5)
    mirror.finish(0, TrialState.COMPLETE, 0.5)
    assert len(drawn(mirror, *range(1, 7))) == 6
    assert mirror.draw(7) is None


def test_a_baseline_that_lacks_a_parameter_takes_it_from_no_sampler() -> None:
    space = (
        "space={learning_rate: {low: 0.001, high: 0.1}, "
        "dropout: {low: 0.0, high: 0.5, when: {layers: 2}}}"
    )
    mirror = Mirror(make_spec(space, "training.layers=2", "sampler=cma-es"))
    mirror.add(0, finished(mirror, {"learning_rate": 0.01}), "")
    mirror.add(1, finished(mirror, {"learning_rate": 0.02, "dropout": 0.1}), "")
    drawn = mirror.draw(2)
    assert drawn is not None
    found = CmaEsSampler().infer_relative_search_space(mirror.study, drawn)
    assert found.keys() == {"learning_rate", "dropout"}
