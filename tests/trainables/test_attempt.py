from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tests.trainables.conftest import without_times
from trainables.attempt import Attempt, Report
from trainables.checkpoint import Checkpoints, epoch_file
from trainables.datasets import Part, SequenceDataset
from trainables.device import runs_bfloat16
from trainables.folder import folder_at
from trainables.metrics import COSTS

Config = dict[str, Any]


def attempt(config: Config, data: SequenceDataset, *, acknowledged: int = 0) -> Attempt:
    return Attempt({**config, "acknowledged": acknowledged}, data)


def numbers(report: Report) -> tuple[int, dict[str, float], str]:
    return report.epoch, without_times(report.metrics), report.outcome


def run(config: Config, data: SequenceDataset, epochs: int) -> list[Report]:
    made = attempt(config, data)
    return [made.next_report() for _ in range(epochs)]


@pytest.fixture(autouse=True)
def every_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.attempt.CHECKPOINT_S", 0.0)


@pytest.fixture
def elsewhere(trial_config: Config, tmp_path: Path) -> Config:
    """The same trial with a folder of its own, to be run without any accident."""
    return {**trial_config, "checkpoints": str(tmp_path / "undisturbed")}


@pytest.fixture
def folder(trial_config: Config) -> Checkpoints:
    return Checkpoints(folder_at(trial_config["checkpoints"]))


def test_a_trial_from_its_first_epoch_to_its_last(
    trial_config: Config, folder: Checkpoints, digits: SequenceDataset
) -> None:
    reports = run(trial_config, digits, 3)

    assert [(report.epoch, report.outcome) for report in reports] == [
        (1, "running"),
        (2, "running"),
        (3, "complete"),
    ]
    assert folder.epochs() == [3], "the last epoch may have to be reported again"
    assert set(folder.read_best()) > {"linear.weight", "linear.bias"}


def test_the_first_epoch_tells_what_the_network_costs_where_it_matters(
    trial_config: Config, digits: SequenceDataset
) -> None:
    first, second, *_ = run({**trial_config, "costs": True}, digits, 3)

    assert set(COSTS) <= set(first.metrics)
    assert first.metrics["size_mb"] == pytest.approx(4e-6 * first.metrics["weights"])
    assert set(COSTS).isdisjoint(second.metrics)


def test_after_its_end_there_is_no_next_epoch(
    trial_config: Config, digits: SequenceDataset
) -> None:
    made = attempt({**trial_config, "parameters": {"epochs": 1, "hidden_size": 4}}, digits)
    made.next_report()

    with pytest.raises(RuntimeError, match="trial 7 has ended"):
        made.next_report()


def test_an_epoch_that_was_not_acknowledged_is_reported_as_it_was(
    trial_config: Config, digits: SequenceDataset
) -> None:
    first = run(trial_config, digits, 2)

    again = attempt(trial_config, digits, acknowledged=1)

    assert again.next_report() == first[1], "times included: it was not trained again"
    assert again.trainer is None


def test_an_epoch_that_another_machine_computed_is_reported_as_its_own(
    trial_config: Config, digits: SequenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.attempt.machine", lambda _: "another")
    run(trial_config, digits, 2)
    monkeypatch.undo()

    again = attempt(trial_config, digits, acknowledged=1)

    assert [again.next_report().machine == "another" for _ in range(2)] == [True, False]


@pytest.mark.parametrize("acknowledged", [1, 2])
def test_goes_on_to_the_same_numbers(
    trial_config: Config, elsewhere: Config, digits: SequenceDataset, acknowledged: int
) -> None:
    undisturbed = run(elsewhere, digits, 3)
    run(trial_config, digits, 2)

    resumed = attempt(trial_config, digits, acknowledged=acknowledged)
    reports = [resumed.next_report() for _ in range(3 - acknowledged)]

    assert [numbers(report) for report in reports] == [
        numbers(report) for report in undisturbed[acknowledged:]
    ]


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_goes_on_in_the_precision_that_it_began_in(
    trial_config: Config, digits: SequenceDataset, acknowledged: int, device: torch.device
) -> None:
    if not runs_bfloat16(device):
        pytest.skip(f"{device} cannot compute in bfloat16")
    parameters = trial_config["parameters"]
    elsewhere = {**trial_config, "parameters": {**parameters, "precision": "bfloat16"}}
    run(elsewhere, digits, 1)

    resumed = attempt(trial_config, digits, acknowledged=acknowledged)
    reports = [resumed.next_report() for _ in range(2 - acknowledged)]

    assert parameters["precision"] == "auto", "which is float32 for a network as small as this"
    assert [report.precision for report in reports] == ["bfloat16"] * len(reports)


def test_short_epochs_share_a_checkpoint_and_go_on_to_the_same_numbers(
    trial_config: Config,
    elsewhere: Config,
    folder: Checkpoints,
    digits: SequenceDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainables.attempt.CHECKPOINT_S", 3600.0)
    undisturbed = run(elsewhere, digits, 3)
    run(trial_config, digits, 2)
    assert folder.epochs() == []

    report = attempt(trial_config, digits, acknowledged=2).next_report()

    assert numbers(report) == numbers(undisturbed[2])
    assert folder.epochs() == [3]
    assert folder.has_best()


@pytest.mark.parametrize(
    ("direction", "missed", "reached"), [("maximize", 1.1, 0.0), ("minimize", -0.1, 1.0)]
)
def test_an_epoch_that_the_target_may_end_is_kept_however_short(
    trial_config: Config,
    folder: Checkpoints,
    digits: SequenceDataset,
    monkeypatch: pytest.MonkeyPatch,
    direction: str,
    missed: float,
    reached: float,
) -> None:
    monkeypatch.setattr("trainables.attempt.CHECKPOINT_S", 3600.0)
    run({**trial_config, "direction": direction, "target": missed}, digits, 1)
    assert folder.epochs() == []

    run({**trial_config, "direction": direction, "target": reached}, digits, 1)
    assert folder.epochs() == [1]


@pytest.mark.parametrize("lost", [[2], [1, 2]])
def test_lost_epochs_are_trained_again_in_silence(
    trial_config: Config,
    elsewhere: Config,
    folder: Checkpoints,
    digits: SequenceDataset,
    lost: list[int],
) -> None:
    undisturbed = run(elsewhere, digits, 3)
    run(trial_config, digits, 2)
    for epoch in lost:
        folder.folder.write(epoch_file(epoch), b"damaged")

    again = attempt(trial_config, digits, acknowledged=2)
    report = again.next_report()

    assert numbers(report) == numbers(undisturbed[2])
    named = zip(reversed(lost), report.damaged, strict=True)
    assert all(f"epoch-{epoch:06d}.pt" in what for epoch, what in named)


def test_a_crash_between_the_best_weights_and_the_last_epoch(
    trial_config: Config, folder: Checkpoints, digits: SequenceDataset
) -> None:
    last = run(trial_config, digits, 3)[-1]
    folder.folder.delete(epoch_file(3))

    again = attempt(trial_config, digits, acknowledged=2).next_report()

    assert numbers(again) == numbers(last)
    assert folder.has_best()
    assert folder.epochs() == [3]


def test_the_best_weights_are_there_before_the_epoch_that_says_so(
    trial_config: Config, folder: Checkpoints, digits: SequenceDataset
) -> None:
    def write(attempt: Attempt, report: Report, state: object) -> None:
        assert report.outcome == "running" or folder.has_best()
        written.append(report.outcome)

    written: list[str] = []
    with patch.object(Attempt, "write", write):
        run(trial_config, digits, 3)
    assert written[-1] == "complete"


def test_a_trial_whose_every_epoch_is_known_reports_its_last_again(
    trial_config: Config, digits: SequenceDataset
) -> None:
    last = run(trial_config, digits, 3)[-1]

    assert attempt(trial_config, digits, acknowledged=3).next_report() == last


def test_a_diverged_epoch_is_reported_and_reported_again(
    trial_config: Config, folder: Checkpoints, digits: SequenceDataset
) -> None:
    x = digits.train.x.astype(np.float32)
    x[0] = np.nan
    broken = replace(digits, train=Part(x, digits.train.y))

    first = attempt(trial_config, broken).next_report()
    again = attempt(trial_config, broken)
    repeated = again.next_report()

    assert (first.epoch, first.outcome) == (1, "diverged")
    assert repr(repeated) == repr(first), "not a number is not equal to itself"
    assert again.trainer is None
    assert not folder.has_best()
    with pytest.raises(RuntimeError, match="has ended"):
        again.next_report()


def test_divergence_in_an_epoch_that_was_known_ends_the_trial_at_the_awaited_one(
    trial_config: Config, digits: SequenceDataset
) -> None:
    x = digits.train.x.astype(np.float32)
    x[0] = np.nan
    broken = replace(digits, train=Part(x, digits.train.y))

    report = attempt(trial_config, broken, acknowledged=2).next_report()

    assert (report.epoch, report.outcome) == (3, "diverged")
