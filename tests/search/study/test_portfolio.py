"""What is known to do well elsewhere is tried first, as near as a job's space has it."""

import pytest
from optuna.trial import TrialState

from benchmarks.curves import DOCUMENTS
from search.document.conditions import Scalar
from search.document.parameters import Choices, FloatRange, IntRange, Parameter
from search.document.spec import parse_job
from search.study.cost import typical_s
from search.study.mirror import Mirror
from search.study.portfolio import entries, fitted, nearest
from search.study.warming import without_history
from tests.search.conftest import make_spec
from trainables.config import Parameters

ENTRY: Parameters = {
    "cell": "gru",
    "hidden_size": 100,
    "layers": 2,
    "learning_rate": 0.5,
    "dropout": 0.3,
}


def test_the_cheapest_come_first() -> None:
    spec = parse_job(DOCUMENTS["digits"])
    costs = [typical_s(spec.config(fitted(spec, entry))) for entry in entries()]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        (IntRange(low=8, high=64, step=8), 30, [32]),
        (IntRange(low=8, high=64), 30, [30]),
        (IntRange(low=8, high=64, log=True), 100, [64]),
        (FloatRange(low=0.1, high=0.2), 0.5, [0.2]),
        (FloatRange(low=0.0, high=1.0, step=0.25), 0.3, [0.25]),
        (Choices(choices=["lstm", "gru"]), "gru", ["gru"]),
        (Choices(choices=["lstm"]), "gru", []),
        (Choices(choices=[16, 64, 512]), 100, [64]),
        (Choices(choices=[0.0001, 0.001, 0.1]), 0.03, [0.1]),
        (Choices(choices=[0, 4]), 1, [0]),
        (Choices(choices=[True, False]), 1, [1]),
        (Choices(choices=[None, 4]), 5, [4]),
        (Choices(choices=[None, 4]), None, [None]),
        (IntRange(low=8, high=64), None, []),
    ],
)
def test_the_nearest_value(parameter: Parameter, value: Scalar, found: list[Scalar]) -> None:
    assert list(nearest(parameter, value)) == found


def test_a_job_gets_as_much_of_an_entry_as_it_searches() -> None:
    assert fitted(make_spec(), ENTRY) == {
        "cell": "gru", "hidden_size": 64, "learning_rate": 0.1
    }  # fmt: skip


def test_every_entry_is_one_of_the_default_space() -> None:
    spec = make_spec("space=null", "training={epochs: 4}")
    assert [fitted(spec, one) for one in entries()] == [dict(one) for one in entries()]


@pytest.mark.parametrize(
    "override", ["sampler=random", "sampler=qmc", "warm_start=none", "space={head: [last, mean]}"]
)
def test_no_draw_is_fixed(override: str) -> None:
    assert without_history(make_spec("training={epochs: 4}", override)).first == ()


def test_it_comes_after_the_baselines_and_the_rest_is_drawn() -> None:
    spec = make_spec(
        "training={epochs: 4}",
        "space={learning_rate: {low: 1.0e-4, high: 3.0e-2}, clip_norm: {low: 0.1, high: 9.0}}",
        "baseline=[{learning_rate: 0.01, clip_norm: 1.0}]",
    )
    mirror = Mirror(spec)
    (parameters, overrides), *_ = spec.baselines()
    mirror.add(0, mirror.frozen(parameters), mirror.identity(parameters, overrides))
    drawn = [mirror.draw(number) for number in range(1, 1 + len(entries()))]
    assert [trial and trial.params["learning_rate"] for trial in drawn] == [
        one["learning_rate"] for one in entries()
    ]
    assert len({trial and trial.params["clip_norm"] for trial in drawn}) == len(drawn)
    again = Mirror(spec)
    again.add(0, again.frozen(parameters), again.identity(parameters, overrides))
    first = again.draw(1)
    assert first is not None
    assert drawn[0] is not None
    assert first.params == drawn[0].params


def test_entries_that_are_alike_in_a_small_space_are_tried_once() -> None:
    spec = make_spec("training={epochs: 4}", "space={hidden_size: [8], cell: [lstm, gru]}")
    mirror = Mirror(spec)
    found = [mirror.draw(0), mirror.draw(1), mirror.draw(2)]
    assert {trial.params["cell"] for trial in found if trial} == {"lstm", "gru"}
    assert found[2] is None


def test_a_sampler_that_remembers_the_space_in_its_trials_sees_all_of_it() -> None:
    """For cma-es the entries' draws would else be generations in fewer dimensions."""
    spec = make_spec(
        "training={epochs: 4}",
        "space={hidden_size: {low: 8, high: 64}, learning_rate: {low: 0.001, high: 0.1}, "
        "weight_decay: {low: 0.0, high: 0.1}}",
        "sampler={name: cma-es, with_margin: true}",
    )
    mirror = Mirror(spec)
    for number in range(20):
        assert mirror.draw(number) is not None
        mirror.report(number, 1, number / 20)
        mirror.finish(number, TrialState.COMPLETE, number / 20)
    last = mirror.study.get_trials(deepcopy=False)[-1].system_attrs
    assert any(name.startswith("cma") for name in last)


def test_trials_that_are_drawn_together_keep_the_portfolios_order() -> None:
    """So that a driver that is started again in between loses none of it."""
    spec = make_spec("space=null", "training={epochs: 4}")
    count = len(entries())
    mirror = Mirror(spec)
    drawn = [mirror.next(n, left=count - n, slots=8) for n in range(count)]
    rates = [trial and trial.params["learning_rate"] for trial in drawn]
    assert rates == [one["learning_rate"] for one in entries()]
