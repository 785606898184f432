"""Why a complete trial may have fewer epochs than its configuration says."""

from unittest.mock import Mock

import pytest
from optuna.trial import TrialState, create_trial

from search.upkeep.doctor.epochs import examine_value
from tests.search.conftest import make_spec


@pytest.mark.parametrize(
    ("values", "target", "short"),
    [
        ((0.1, 0.5, 0.4, 0.5), None, False),  # two epochs after the first best one
        ((0.1, 0.4, 0.5, 0.4), None, True),
        ((0.1, 0.2), 0.2, False),
        ((0.1, 0.2), 0.3, True),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), None, False),
    ],
)
def test_a_trial_without_gain_or_with_the_target_may_be_short(
    values: tuple[float, ...], target: float | None, short: bool
) -> None:
    said = () if target is None else (f"budget.target={target}",)
    spec = make_spec("training={epochs: 6, layers: 1, patience: 2}", *said)
    record = Mock()
    record.job.id, record.spec = "tiny-0001", spec
    trial = create_trial(
        state=TrialState.COMPLETE,
        value=max(values),
        intermediate_values=dict(enumerate(values, start=1)),
    )
    kinds = [one.kind for one in examine_value(record, ("tiny-0001", 0), trial)]
    assert kinds == (["epochs-short"] if short else [])
