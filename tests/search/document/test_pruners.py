import optuna
import pytest
from optuna.trial import TrialState

from search.common.faults import SpecError
from search.document.pruners import make_pruner
from search.document.spec import parse_job


def ended_at(pruner: str, curves: list[list[float]], *, epochs: int) -> list[int]:
    """Return the epoch after which each trial ended, the trials run one after the other."""
    spec = parse_job(
        f"{{data: {{source: digits}}, training: {{epochs: {epochs}}}, pruner: {pruner}}}"
    )
    study = optuna.create_study(direction="maximize", pruner=make_pruner(spec), study_name="s")
    return [last_epoch(study, curve) for curve in curves]


def last_epoch(study: optuna.Study, curve: list[float]) -> int:
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, max(curve))
    return len(curve)


GOOD, BAD = [0.9] * 8, [0.1] * 8


@pytest.mark.parametrize(
    ("pruner", "ends"),
    [
        ("none", [8, 8, 8]),
        ("successive-halving", [8, 4, 4]),
        ("{name: successive-halving, min_resource: 1}", [8, 1, 1]),
        ("{name: successive-halving, min_resource: 3}", [8, 3, 3]),
        ("{name: successive-halving, min_resource: 1, min_early_stopping_rate: 1}", [8, 2, 2]),
        ("{name: successive-halving, min_resource: 1, bootstrap_count: 2}", [1, 1, 1]),
        ("{name: median, n_startup_trials: 1}", [8, 1, 1]),
        ("{name: median, n_startup_trials: 1, n_warmup_steps: 4}", [8, 4, 4]),
        ("median", [8, 8, 8]),
        ("{name: patient, patience: 3}", [8, 8, 8]),
    ],
)
def test_a_pruner_with_its_options(pruner: str, ends: list[int]) -> None:
    assert ended_at(pruner, [GOOD, BAD, BAD], epochs=8) == ends


def test_patient_ends_what_gets_worse_by_more_than_min_delta() -> None:
    curve = [0.5, 0.3, 0.6, 0.59, 0.58, 0.4, 0.3, 0.2]
    assert ended_at("{name: patient, patience: 0}", [curve], epochs=8) == [2]
    assert ended_at("{name: patient, patience: 1}", [curve], epochs=8) == [5]
    assert ended_at("{name: patient, patience: 1, min_delta: 0.1}", [curve], epochs=8) == [7]


def test_hyperband_prunes_before_any_trial_is_complete() -> None:
    ends = ended_at("{name: hyperband, reduction_factor: 2}", [GOOD, *[BAD] * 12], epochs=8)
    assert min(ends) < 8
    assert ends[0] == 8


@pytest.mark.parametrize(
    ("pruner", "fault"),
    [
        ("asha", "pruner.asha: unknown pruner; valid are successive-halving, hyperband, median"),
        ("{name: median, warmup: 1}", "unknown option of median; did you mean n_warmup_steps?"),
        ("{name: median, interval_steps: 0}", "interval_steps: must be at least 1, but got 0"),
        ("{name: patient, patience: '3'}", "must be a whole number, but got '3' (write it without"),
        (
            "{name: patient, patience: 5}",
            "patient must have patience <= 4 for 6 epochs, but got 5",
        ),
        ("{name: median, n_warmup_steps: 6}", "n_warmup_steps below the 6 epochs, but got 6"),
        ("{min_resource: 7}", "successive-halving must start within 6 epochs, but got epoch 7"),
        ("{reduction_factor: 1}", "pruner.reduction_factor: must be at least 2, but got 1"),
        ("{name: hyperband, min_resource: 4, max_resource: 3}", "min_resource=4, max_resource=3"),
        ("{name: none, patience: 3}", "pruner.patience: unknown option of none; valid are name"),
        ("[median]", "pruner: must be a name or a mapping with the key name, but got ['median']"),
    ],
)
def test_bad_pruner(pruner: str, fault: str) -> None:
    with pytest.raises(SpecError, match="pruner") as caught:
        parse_job("data: {source: digits}", [f"pruner={pruner}"])
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("pruner", "endings"),
    [
        ("none", []),
        ("median", []),
        ("successive-halving", [(4, 0.5)]),
        ("{name: successive-halving, min_resource: 1}", [(1, 0.5), (2, 0.5), (4, 0.5)]),
        (
            "{min_resource: 1, reduction_factor: 4, min_early_stopping_rate: 1}",
            [(4, 0.75)],
        ),
    ],
)
def test_what_is_known_beforehand_of_where_trials_end(
    pruner: str, endings: list[tuple[int, float]]
) -> None:
    spec = parse_job(f"{{data: {{source: digits}}, training: {{epochs: 8}}, pruner: {pruner}}}")
    assert list(spec.pruner.endings(8)) == endings
