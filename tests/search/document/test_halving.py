"""Successive halving that reads each trial once, beside Optuna's own."""

import random
from collections.abc import Callable
from math import nan

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner
from optuna.trial import TrialState

from search.document.halving import OrderedHalving
from search.document.sections import Direction


def ends(
    make: Callable[[], SuccessiveHalvingPruner], direction: Direction, *, at_once: int
) -> list[int]:
    """Return the epochs that trials get of eight, so many running side by side.

    In the middle the pruner is another one, as in a driver that is started again.
    """
    drawn = random.Random(7)  # noqa: S311 - any values do
    study = optuna.create_study(direction=direction, pruner=make())
    got: list[int] = []
    for place in range(12):
        if place == 6:
            study.pruner = make()
        live = [study.ask() for _ in range(at_once)]
        epochs = dict.fromkeys(range(at_once), 0)
        running = list(epochs)
        while running:
            for one in list(running):
                epochs[one] += 1
                value = nan if drawn.random() < 0.05 else round(drawn.random(), 1)
                live[one].report(value, epochs[one])
                ended = live[one].should_prune()
                if ended or epochs[one] == 8:
                    state = TrialState.PRUNED if ended else TrialState.COMPLETE
                    study.tell(live[one], None if ended else 0.5, state=state)
                    running.remove(one)
        got += epochs.values()
    return got


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_resource": 3},
        {"reduction_factor": 3},
        {"min_early_stopping_rate": 1},
        {"bootstrap_count": 4},
    ],
)
def test_it_decides_as_optunas_own(options: dict[str, int], direction: Direction) -> None:
    whole = {
        "min_resource": 1,
        "reduction_factor": 2,
        "min_early_stopping_rate": 0,
        "bootstrap_count": 0,
        **options,
    }
    ours = ends(lambda: OrderedHalving(**whole), direction, at_once=4)
    assert ours == ends(lambda: SuccessiveHalvingPruner(**whole), direction, at_once=4)
    assert len(set(ours)) > 1


def test_each_study_has_rungs_of_its_own() -> None:
    pruner = OrderedHalving(
        min_resource=1, reduction_factor=2, min_early_stopping_rate=0, bootstrap_count=0
    )
    for name in ("one", "another"):
        trial = optuna.create_study(study_name=name, pruner=pruner).ask()
        trial.report(1.0 if name == "one" else 2.0, 1)
        assert not trial.should_prune()
