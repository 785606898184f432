"""What is read without Optuna is what Optuna reads."""

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import text

from search.common.trial import state_of
from search.database.recorded import trial_of, trials_of
from search.database.storage import open_storage
from search.database.store import Store
from search.jobs.listing import best_trial

SPACE = {
    "cell": CategoricalDistribution(("lstm", "gru")),
    "batch_size": CategoricalDistribution((16, 64, None, True)),
    "hidden_size": IntDistribution(8, 256, step=8),
    "dropout": FloatDistribution(0.0, 0.9, step=0.1),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
}


def trials() -> list[FrozenTrial]:
    """Return a trial of every end, with every kind of parameter, attribute and value."""
    full = {"cell": "gru", "batch_size": None, "hidden_size": 24, "dropout": 0.3,
            "learning_rate": 0.003}  # fmt: skip
    made = [
        create_trial(state=TrialState.COMPLETE, value=value, params=full, distributions=SPACE,
                     user_attrs={"seed": 7, "overrides": {"layers": 2}, "baseline": True},
                     intermediate_values={1: value, 2: math.nan, 3: -math.inf})
        for value in (0.1 + 0.2, math.inf, -math.inf)
    ]  # fmt: skip
    ends: list[tuple[TrialState, dict[str, Any]]]
    ends = [(TrialState.PRUNED, {}), (TrialState.PRUNED, {"diverged": True}),
            (TrialState.PRUNED, {"budget": True}), (TrialState.FAIL, {"reason": "torn"}),
            (TrialState.RUNNING, {}), (TrialState.WAITING, {"lost_after": [0, 3]})]  # fmt: skip
    few = {"batch_size": True}
    kept = {"batch_size": SPACE["batch_size"]}
    return made + [
        create_trial(state=state, params=few, distributions=kept, user_attrs=attrs)
        for state, attrs in ends
    ]


def test_it_is_all_that_optuna_reads(opened: Store) -> None:
    storage = open_storage(opened)
    for name in ("other", "ours"):
        study = optuna.create_study(storage=storage, study_name=name)
        study.add_trials(trials())
    expected = study.get_trials()
    with opened.session() as session:
        found = trials_of(session, "ours")
        assert [trial_of(session, one._trial_id) for one in expected[:1]] == found[:1]
    storage.engine.dispose()
    assert len(found) == len(expected) == len(trials())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.number == theirs.number
        assert (ours.state, ours.value) == (state_of(theirs), theirs.value)
        assert list(ours.params.items()) == list(theirs.params.items())
        assert [*map(type, ours.params.values())] == [*map(type, theirs.params.values())]
        assert ours.user_attrs == theirs.user_attrs
        values = [*theirs.intermediate_values.values()]
        assert sorted(map(repr, ours.epochs)) == sorted(map(repr, values))


@pytest.mark.parametrize("made", [False, True])
def test_a_study_that_is_not_there_has_no_trials(opened: Store, *, made: bool) -> None:
    if made:
        open_storage(opened).engine.dispose()
    with opened.session() as session:
        assert trials_of(session, "ours") == []


def test_while_optuna_makes_its_tables_there_are_no_studies(store: Store) -> None:
    open_storage(store)
    with store.engine.begin() as connection:
        connection.execute(text("DROP TABLE trial_intermediate_values"))
        connection.execute(text("DROP TABLE trial_values"))

    with store.session() as session:
        assert best_trial(session, "any", maximize=True) is None
        assert trials_of(session, "any") == []
