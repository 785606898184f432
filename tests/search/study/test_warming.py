"""What a job takes over from earlier ones, and what its sampler makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.common.faults import SpecError
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.result import Candidate, Result
from search.database.storage import open_storage
from search.database.store import Store
from search.database.tables import Job
from search.document.sections import Direction
from search.document.spec import JobSpec
from search.study.mirror import Mirror
from search.study.portfolio import fitted
from search.study.warming import (
    Past,
    Taken,
    parameters_in,
    shared,
    take,
    taken_over,
    with_earlier_jobs,
    without_history,
)
from tests.search.conftest import add_job, make_spec
from trainables.config import Parameters
from trainables.metrics import sign_of

DATA = {"fingerprint": "aa", "features": 8, "classes": ["0", "1"], "targets": []}
HALF = DATA | {"fingerprint": "bb"}
OTHER = DATA | {"features": 9, "fingerprint": "cc"}
SPEC = make_spec("warm_start=auto")
RATES = (0.01, 0.02, 0.05)


def config(rate: float) -> Parameters:
    return {"cell": "gru", "hidden_size": 16, "learning_rate": rate}


def earlier(
    store: Store,
    job_id: str,
    rates: Sequence[float],
    data: object = DATA,
    *overrides: str,
    pruned: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Add a finished job whose trials are the better the later; the second has ended early."""
    spec = make_spec(*overrides)
    add_job(store, spec, job_id, status="finished", dataset=json.dumps(data))
    storage = open_storage(store)
    study = optuna.create_study(study_name=job_id, storage=storage, direction="maximize")
    space = Mirror(spec).space
    for number, rate in enumerate(rates):
        parameters = config(rate)
        state = TrialState.PRUNED if number == 1 else TrialState.COMPLETE
        value = 0.5 + number / 10
        study.add_trial(
            create_trial(
                state=state, value=value if state is TrialState.COMPLETE else None,
                params=parameters, distributions=space.distributions(parameters),
                intermediate_values={1: value},
                user_attrs=dict(pruned) if state is TrialState.PRUNED else {},
            )
        )  # fmt: skip
    storage.engine.dispose()


def took(store: Store, spec: JobSpec = SPEC) -> Taken:
    return take(store, spec, DATA, "tiny-0009")


def test_trials_on_the_same_data_are_known_and_the_best_come_first(store: Store) -> None:
    earlier(store, "tiny-0001", RATES)
    taken = took(store)
    assert taken.jobs == ("tiny-0001",)
    assert [(one.of, one.number, one.state) for one in taken.history] == [
        ("tiny-0001", 0, "complete"), ("tiny-0001", 1, "pruned"), ("tiny-0001", 2, "complete"),
    ]  # fmt: skip
    assert [one.parameters["learning_rate"] for one in taken.history] == list(RATES)
    assert [one["learning_rate"] for one in taken.first] == [0.05, 0.01]
    assert str(taken) == (
        "warm start from tiny-0001: 3 trials known, 2 configurations to begin with"
    )
    assert Taken.from_json(taken.to_json()) == taken


@pytest.mark.parametrize(
    ("override", "attrs", "known"),
    [
        ("seed=1", {}, [0, 1, 2]),
        ("seed=1", {"budget": True}, [0, 2]),
        ("objective.limits={weights: 100}", {"costs": {"weights": 50.0}}, [0, 1, 2]),
        ("objective.limits={weights: 100}", {"costs": {"weights": 150.0}}, [0, 2]),
        (
            "objective.limits={weights: 100}",
            {"costs": {"weights": 150.0}, "diverged": True},
            [0, 1, 2],
        ),
    ],
)
def test_what_ended_for_another_reason_than_its_values_is_not_known(
    store: Store, override: str, attrs: dict[str, Any], known: list[int]
) -> None:
    earlier(store, "tiny-0001", RATES, DATA, override, pruned=attrs)
    assert [one.number for one in took(store).history] == known


def test_where_earlier_jobs_found_nothing_the_portfolio_comes_first(store: Store) -> None:
    earlier(store, "tiny-0001", RATES)
    for job_id in ("tiny-0002", "tiny-0003"):
        earlier(store, job_id, [])
    assert took(store).jobs == ("tiny-0001",)
    named = took(store, make_spec("warm_start=[tiny-0002]"))
    assert named == without_history(SPEC)
    assert named.first


def test_what_was_confirmed_comes_first(store: Store) -> None:
    earlier(store, "tiny-0001", RATES)
    chosen = Candidate(of=0, parameters=config(0.01), baseline=False, runs=(0,), validation=(0.9,))
    found = Result(
        metric="val_accuracy", direction="maximize", study="s", confirmed=True, chosen=chosen,
        baselines=(),
    )  # fmt: skip
    with store.session() as session:
        session.get_one(Job, "tiny-0001").result = found.model_dump_json()
    assert [one["learning_rate"] for one in took(store).first] == [0.01, 0.05]


@pytest.mark.parametrize(
    ("data", "overrides"),
    [
        (HALF, ()),
        (DATA, ("objective={metric: val_loss}",)),
        (DATA, ("data={source: x.npz, missing: mean}",)),
        (DATA, ("data={source: x.npz, missing: zero, mask: true}",)),
    ],
)
def test_of_data_that_are_only_alike_nothing_is_known(
    store: Store, data: object, overrides: tuple[str, ...]
) -> None:
    earlier(store, "tiny-0001", RATES, data, *overrides)
    taken = took(store)
    assert (taken.jobs, taken.history) == (("tiny-0001",), ())
    assert len(taken.first) == 2


def test_other_data_and_jobs_that_run_are_passed_over_unless_they_are_named(store: Store) -> None:
    earlier(store, "tiny-0001", RATES, OTHER)
    earlier(store, "tiny-0002", RATES)
    with store.session() as session:
        session.get_one(Job, "tiny-0002").status = "running"
    assert took(store) == without_history(SPEC)
    named = took(store, make_spec("warm_start=[tiny-0001]"))
    assert (named.jobs, named.history) == (("tiny-0001",), ())
    assert len(named.first) == 2


def test_the_best_of_several_jobs_take_turns(store: Store) -> None:
    earlier(store, "tiny-0001", RATES, HALF)
    earlier(store, "tiny-0002", [0.011, 0.021, 0.051], HALF)
    taken = took(store, make_spec("warm_start=[tiny-0001, tiny-0002]"))
    assert [one["learning_rate"] for one in taken.first] == [0.05, 0.051, 0.01]


@pytest.mark.parametrize("override", ["warm_start=none", "warm_start=portfolio"])
def test_who_does_not_ask_takes_nothing(opened: Store, lease: Lease, override: str) -> None:
    earlier(opened, "tiny-0002", RATES)
    assert taken_over(JobRow(lease), make_spec(override), DATA) is None


def test_a_configuration_that_is_none_of_the_space_is_not_known() -> None:
    old = make_spec().config(config(0.01))
    assert parameters_in(make_spec(), old) == config(0.01)
    for other in (
        "training={epochs: 9}", "space={cell: [lstm], hidden_size: [16]}",
        "space={hidden_size: [8], learning_rate: [0.01]}",
    ):  # fmt: skip
        assert parameters_in(make_spec(other), old) is None
    wider = make_spec("space={hidden_size: {low: 8, high: 16}, label_smoothing: [0.0, 0.1]}")
    assert parameters_in(wider, wider.config({"hidden_size": 9})) == {
        "hidden_size": 9, "label_smoothing": 0.0
    }  # fmt: skip


def test_the_sampler_learns_from_what_was_taken_over() -> None:
    spec = make_spec("sampler=tpe", "warm_start=auto")
    past = tuple(
        Past("tiny-0001", n, "complete", config(0.001 + n / 1000) | {"cell": cell}, value, {})
        for n, (cell, value) in enumerate([("gru", 0.9), ("lstm", 0.1)] * 10)
    )
    cells = []
    for taken in (Taken(("tiny-0001",), past), Taken()):
        mirror = Mirror(spec, taken)
        drawn = [mirror.draw(number) for number in range(6)]
        cells.append([trial.params["cell"] for trial in drawn if trial].count("gru"))
    assert cells[0] >= 5
    assert cells[1] < cells[0]


def test_names_are_jobs_that_are_there_when_it_is_launched(store: Store) -> None:
    earlier(store, "tiny-0001", RATES)
    spec = with_earlier_jobs(store, make_spec("warm_start=[tiny, tiny-0001]"))
    assert spec.warm_start == ("tiny-0001",)
    add_job(store, spec, "tiny-0009")  # itself, and newer
    assert took(store, spec).jobs == ("tiny-0001",)
    assert with_earlier_jobs(store, SPEC) == SPEC
    with pytest.raises(SpecError) as refused:
        with_earlier_jobs(store, make_spec("warm_start=[tiny-0001, tinny, none-1]"))
    assert len(refused.value.faults) == 2
    assert refused.value.faults[0].startswith("warm_start: no job is called 'tinny'")


@pytest.mark.parametrize("sampler", ["cma-es", "nsga-ii"])
def test_who_learns_from_own_draws_alone_may_draw_again_what_earlier_jobs_did(
    store: Store, sampler: str
) -> None:
    earlier(store, "tiny-0001", RATES)
    ranges = "space={hidden_size: {low: 8, high: 64}, learning_rate: {low: 0.001, high: 0.1}}"
    spec = make_spec("warm_start=auto", f"sampler={sampler}", ranges, "training.cell=gru")
    taken = took(store, spec)
    assert (taken.history, len(taken.first)) == ((), 2)


def test_a_setting_that_was_null_is_null_again() -> None:
    past: Parameters = {"hidden_size": 16, "clip_norm": None}
    spec = make_spec("space={hidden_size: [16, 32], clip_norm: [null, 0.5, 1.0]}")
    assert fitted(spec, past) == past
    drawn = Mirror(spec, Taken(("tiny-0001",), (), (past,))).draw(0)
    assert drawn is not None
    assert drawn.params == past


def test_what_is_known_is_not_drawn_again_but_for_the_best(store: Store) -> None:
    space = "space={cell: [gru], hidden_size: [16], learning_rate: [0.01, 0.02, 0.05, 0.1]}"
    past = [
        Past("tiny-0001", n, "complete", config(rate), rate, {}) for n, rate in enumerate(RATES)
    ]
    mirror = Mirror(make_spec(space), Taken(("tiny-0001",), tuple(past), (config(0.05),)))
    drawn = [mirror.draw(0), mirror.draw(1), mirror.draw(2)]
    assert [one.params["learning_rate"] for one in drawn if one] == [0.05, 0.1]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_many_trials_the_best_and_the_newest_of_each_job_are_known(
    direction: Direction,
) -> None:
    """Of those here the first are the best; a tenth of a job's share is for them."""
    sign = -sign_of(direction)

    def past(job: str, number: int) -> list[Past]:
        return [Past(job, n, "complete", {}, sign * n, {}) for n in range(number)]

    found = shared([past("long", 100), past("short", 3), past("middle", 25)], 43, direction)

    assert [(one.of, one.number) for one in found] == [
        *(("long", n) for n in (0, 1, *range(82, 100))),
        *(("short", n) for n in range(3)),
        *(("middle", n) for n in (0, 1, *range(7, 25))),
    ]
    assert shared([], 43, direction) == []
    few = [one if one.number == 1 else replace(one, value=None) for one in past("few", 100)]
    assert [one.number for one in shared([few], 50, direction)] == [1, *range(51, 100)]


def test_the_best_are_trained_where_a_setting_does_not_count_for_them() -> None:
    decay = "{low: 1.0e-6, high: 0.01, log: true, when: {optimizer: adamw}}"
    spec = make_spec(f"space={{optimizer: [adam, adamw], weight_decay: {decay}}}")
    best: Parameters = {"optimizer": "adam"}
    first = fitted(spec, spec.config(best).model_dump())
    assert first.keys() == {"optimizer", "weight_decay"}
    past = Past("tiny-0001", 0, "complete", best, 0.9, {})
    drawn = Mirror(spec, Taken(("tiny-0001",), (past,), (first,))).draw(0)
    assert drawn is not None
    assert drawn.params == best


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_a_sampler_that_does_not_learn_is_refused_a_history(sampler: str) -> None:
    with pytest.raises(SpecError, match="warm_start: needs a sampler that learns, but got"):
        make_spec("warm_start=auto", f"sampler={sampler}")


@pytest.mark.parametrize("value", ["sometimes", "3", "[3]", "[]"])
def test_a_warm_start_that_is_none(value: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(f"warm_start={value}")
    (fault,) = refused.value.faults
    assert fault.startswith(
        "warm_start: must be portfolio, none, auto or a list of 1 to 10 jobs, but got "
    )
