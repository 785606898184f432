"""What pictures say where little is known."""

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from search.report.figures import shares

SPACE: dict[str, BaseDistribution] = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}


def test_of_one_trial_nobody_knows_which_parameter_matters() -> None:
    study = optuna.create_study()
    for number, value in enumerate((0.1, 0.9, 0.3)):
        assert bool(shares(study)) is (number > 1)
        parameters: dict[str, object] = {"a": value, "b": 0.5}
        study.add_trial(create_trial(value=value, params=parameters, distributions=SPACE))
    assert sum(shares(study).values()) == pytest.approx(1)
