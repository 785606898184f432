"""Losses and metrics, held against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from tests.trainables.conftest import needs_gpu
from trainables.goals import Classes, Numbers, areas

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("digits", [1, 6])  # one digit makes many ties
def test_scores_of_classes(classes: int, digits: int) -> None:
    y = RNG.integers(0, classes, 200)
    logits = torch.tensor(np.round(RNG.normal(size=(200, classes)), digits), dtype=torch.float32)

    found = Classes().scores(logits, torch.tensor(y))

    shares = logits.double().softmax(1).numpy()
    answers = logits.argmax(1).numpy()
    wanted = {
        "loss": sk.log_loss(y, shares),
        "accuracy": sk.accuracy_score(y, answers),
        "balanced_accuracy": sk.balanced_accuracy_score(y, answers),
        "macro_f1": sk.f1_score(y, answers, average="macro"),
        "auroc": np.mean([sk.roc_auc_score(y == one, shares[:, one]) for one in range(classes)]),
    }
    assert found == pytest.approx(wanted, rel=1e-5)


def test_classes_without_a_sequence_are_left_out() -> None:
    logits = torch.eye(3)[[0, 1, 1]]

    found = Classes().scores(logits, torch.tensor([0, 1, 0]))

    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert found["auroc"] == pytest.approx(0.75)
    assert areas(logits, torch.tensor([0, 1, 0]), torch.ones(1, 3)).isnan().tolist() == [
        [False, False, True]
    ]


def test_one_class_alone_has_no_rest() -> None:
    assert Classes().scores(torch.eye(2), torch.tensor([0, 0]))["auroc"] == 0.5


def test_class_weights_change_what_is_learned_and_not_what_is_measured() -> None:
    logits, y = torch.randn(8, 2), torch.tensor([0] * 7 + [1])
    weighted = Classes(torch.tensor([4 / 7, 4.0]))

    assert weighted.loss(logits, y) != Classes().loss(logits, y)
    assert weighted.scores(logits, y) == Classes().scores(logits, y)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_count_in_batches_of_any_size(smoothing: float) -> None:
    logits, y = torch.randn(8, 2), torch.tensor([0] * 7 + [1])
    goal = Classes(torch.tensor([4 / 7, 4.0]), smoothing)

    def learned(outputs: Tensor, labels: Tensor) -> Tensor:
        return goal.learned(outputs, labels, goal.loss(outputs, labels))

    single = [learned(one[None], label[None]) for one, label in zip(logits, y, strict=True)]
    assert torch.stack(single).mean().item() == pytest.approx(learned(logits, y).item(), rel=1e-5)


def test_smoothed_labels_change_what_is_learned_and_neither_loss_nor_score() -> None:
    logits, y = torch.randn(8, 4), torch.arange(8) % 4
    smoothed, shares = Classes(smoothing=0.2), torch.full((8, 4), 0.05)
    shares[torch.arange(8), y] = 0.85

    loss = smoothed.loss(logits, y)

    wanted = -(shares * logits.log_softmax(1)).sum(1).mean()
    assert smoothed.learned(logits, y, loss).item() == pytest.approx(wanted.item())
    assert loss == Classes().loss(logits, y) == Classes().learned(logits, y, loss)
    assert smoothed.scores(logits, y) == Classes().scores(logits, y)


def test_smoothed_labels_of_a_class_weigh_what_the_class_weighs() -> None:
    outputs, y = torch.tensor([[2.0, -1.0], [0.5, 0.0], [0.0, 3.0]]), torch.tensor([0, 0, 1])
    part = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    weights = torch.tensor([0.5, 0.5, 4.0])
    wanted = (-(part * outputs.log_softmax(1)).sum(1) * weights).mean()

    goal = Classes(torch.tensor([0.5, 4.0]), smoothing=0.2)

    found = goal.learned(outputs, y, goal.loss(outputs, y))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_scores_of_numbers() -> None:
    wanted = RNG.normal(5.0, 3.0, (100, 2))
    offset, scale = torch.tensor([5.0, 4.0]), torch.tensor([3.0, 2.0])
    outputs = torch.tensor(RNG.normal(size=(100, 2)), dtype=torch.float32)
    y = torch.tensor(wanted, dtype=torch.float32)

    goal = Numbers(offset, scale)
    found = goal.scores(outputs, y)

    answers = (outputs * scale + offset).numpy()
    assert found == pytest.approx(
        {
            "loss": float(goal.loss(outputs, y)),
            "mse": sk.mean_squared_error(wanted, answers),
            "mae": sk.mean_absolute_error(wanted, answers),
            "r2": sk.r2_score(wanted, answers),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize("name", Classes.names)
def test_a_sequence_of_weight_three_is_there_three_times(name: str) -> None:
    y = torch.tensor(RNG.integers(0, 3, 50))
    logits = torch.tensor(np.round(RNG.normal(size=(50, 3)), 1), dtype=torch.float32)
    often = torch.tensor(RNG.integers(1, 4, (2, 50)))

    found = Classes().weighted(name, logits, y, often.double())

    for times, one in zip(often, found, strict=True):
        again = Classes().scores(logits.repeat_interleave(times, 0), y.repeat_interleave(times))
        assert float(one) == pytest.approx(again[name])


@pytest.mark.parametrize("name", Numbers.names)
def test_numbers_of_weight_three_are_there_three_times(name: str) -> None:
    goal = Numbers(torch.tensor([5.0, 4.0]), torch.tensor([3.0, 2.0]))
    y, outputs = torch.randn(50, 2), torch.randn(50, 2)
    often = torch.tensor(RNG.integers(1, 4, (2, 50)))

    found = goal.weighted(name, outputs, y, often.double())

    for times, one in zip(often, found, strict=True):
        again = goal.scores(outputs.repeat_interleave(times, 0), y.repeat_interleave(times, 0))
        assert float(one) == pytest.approx(again[name])


def test_r2_of_a_target_that_never_changes() -> None:
    goal = Numbers(torch.zeros(1), torch.ones(1))

    assert goal.scores(torch.full((4, 1), 2.0), torch.full((4, 1), 2.0))["r2"] == 1.0
    assert goal.scores(torch.full((4, 1), 1.0), torch.full((4, 1), 2.0))["r2"] == 0.0


@needs_gpu
def test_scores_on_a_gpu_are_those_of_a_processor() -> None:
    gpu = torch.device("cuda:0")
    torch.manual_seed(0)
    outputs, y = torch.randn(200, 3), torch.randint(3, (200,))
    numbers = torch.randn(200, 3)

    for goal, wanted in ((Classes(), y), (Numbers(torch.zeros(3), torch.ones(3)), numbers)):
        here = goal.scores(outputs, wanted)
        if isinstance(goal, Numbers):
            goal = Numbers(goal.offset.to(gpu), goal.scale.to(gpu))  # noqa: PLW2901
        assert goal.scores(outputs.to(gpu), wanted.to(gpu)) == pytest.approx(here)
