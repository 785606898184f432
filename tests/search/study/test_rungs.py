import json

import pytest
from optuna.pruners import HyperbandPruner
from optuna.trial import TrialState

from search.document.spec import JobSpec
from search.study.rungs import Rungs
from tests.search.conftest import make_spec
from trainables.config import TrialConfig

HALVING = "pruner={name: successive-halving, min_resource: 1}"
ONE_CYCLE = TrialConfig(epochs=4)
CONSTANT = TrialConfig(epochs=4, schedule="constant")


def compete(rungs: Rungs, *runs: tuple[TrialConfig, float]) -> list[int]:
    """Let trials run one after the other, each with one value; return the epochs each got."""
    return [run(rungs, number, *one) for number, one in enumerate(runs)]


def run(rungs: Rungs, number: int, config: TrialConfig, value: float) -> int:
    rungs.add(number, config)
    for epoch in range(1, config.epochs + 1):
        if rungs.judge(number, epoch, value):
            rungs.finish(number, TrialState.PRUNED, None)
            return epoch
    rungs.finish(number, TrialState.COMPLETE, value)
    return config.epochs


def test_only_trials_of_one_schedule_meet() -> None:
    ends = compete(
        Rungs(make_spec(HALVING)),
        (ONE_CYCLE, 0.9),
        (CONSTANT, 0.1),
        (ONE_CYCLE, 0.1),
        (CONSTANT, 0.05),
    )
    assert ends == [4, 4, 1, 1]


def test_only_trials_of_one_length_meet() -> None:
    short = ONE_CYCLE.model_copy(update={"epochs": 2})
    assert compete(Rungs(make_spec(HALVING)), (ONE_CYCLE, 0.9), (short, 0.1)) == [4, 2]


def test_a_loss_is_better_where_it_is_smaller() -> None:
    rungs = Rungs(make_spec(HALVING, "objective={metric: val_loss}"))
    assert compete(rungs, (ONE_CYCLE, 0.1), (ONE_CYCLE, 0.9), (ONE_CYCLE, 0.05)) == [4, 1, 4]


@pytest.mark.parametrize("pruner", ["successive-halving", "hyperband"])
def test_replay_gives_the_verdicts_of_an_undisturbed_driver(pruner: str) -> None:
    spec = make_spec(f"pruner={{name: {pruner}, reduction_factor: 2}}")
    values = [0.5, 0.4, 0.6, 0.45, 0.7, 0.3]
    first, again = Rungs(spec), Rungs(spec)
    for number, value in enumerate(values):
        first.add(number, ONE_CYCLE)
        verdict = first.judge(number, 1, value)
        again.add(number, ONE_CYCLE)
        again.replay(number, 1, value, json.loads(json.dumps(first.memory(number))))
        assert again.memory(number) == first.memory(number)
        if verdict:
            first.finish(number, TrialState.PRUNED, None)
            again.finish(number, TrialState.PRUNED, None)
    for value in (0.55, 0.2, 0.8):
        number = len(first.places)
        assert run(again, number, ONE_CYCLE, value) == run(first, number, ONE_CYCLE, value)


def test_replay_keeps_a_rung_that_later_trials_would_deny() -> None:
    spec = make_spec(HALVING)
    rungs = Rungs(spec)
    rungs.add(0, ONE_CYCLE)
    assert not rungs.judge(0, 1, 0.1)
    assert rungs.memory(0) == {"completed_rung_0": 0.1}
    again = Rungs(spec)
    run(again, 1, ONE_CYCLE, 0.9)
    again.add(0, ONE_CYCLE)
    again.replay(0, 1, 0.1, rungs.memory(0))
    assert again.memory(0) == {"completed_rung_0": 0.1}


def brackets(spec: JobSpec) -> list[int]:
    """Return the bracket of each of twenty trials."""
    rungs = Rungs(spec)
    assert isinstance(rungs.pruner, HyperbandPruner)
    found = []
    for number in range(20):
        rungs.add(number, ONE_CYCLE)
        rungs.judge(number, 1, 0.5)
        study, trial_id = rungs.places[number]
        found.append(rungs.pruner._get_bracket_id(study, study._storage.get_trial(trial_id)))
    return found


def test_hyperband_assigns_the_same_brackets_to_the_same_document_and_seed() -> None:
    hyperband = "pruner={name: hyperband, reduction_factor: 2}"
    assert brackets(make_spec(hyperband)) == brackets(make_spec(hyperband))
    assert len(set(brackets(make_spec(hyperband)))) > 1
    assert brackets(make_spec(hyperband)) != brackets(make_spec(hyperband, "seed=1"))


def test_adding_a_trial_twice_keeps_its_place() -> None:
    rungs = Rungs(make_spec(HALVING))
    rungs.add(0, ONE_CYCLE)
    rungs.judge(0, 1, 0.5)
    rungs.add(0, ONE_CYCLE)
    assert rungs.memory(0) == {"completed_rung_0": 0.5}
