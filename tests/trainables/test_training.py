import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.trainables.conftest import MakeTrainer, without_times
from trainables.batches import Placed, measure
from trainables.datasets import Part, SequenceDataset
from trainables.training import CHECK_STEPS, Diverged, Trainer, fit


def on_disk(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def weights_equal(one: Trainer, other: Trainer) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def part_of(part: Part, **arrays: Any) -> Part:
    return replace(part, **arrays)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_learns_digits(make_trainer: MakeTrainer, cell: str) -> None:
    trainer = make_trainer(cell=cell, hidden_size=32, learning_rate=0.02, epochs=5)

    epochs = list(fit(trainer))

    assert len(epochs) == trainer.epoch == 5
    assert epochs[-1]["val_accuracy"] > 0.93
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] / 4


def test_an_epoch_has_exactly_these_metrics(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(schedule="constant")

    metrics = trainer.run_epoch()

    assert set(metrics) == {
        *("train_loss", "train_accuracy", "val_loss", "val_accuracy"),
        *("val_balanced_accuracy", "val_macro_f1", "val_auroc"),
        *("learning_rate", "grad_norm", "epoch_s", "samples_per_s"),
        *(["memory_mb"] if trainer.device.type == "cuda" else []),
    }
    assert all(type(value) is float and math.isfinite(value) for value in metrics.values())
    assert metrics["learning_rate"] == trainer.config.learning_rate
    assert 0.0 <= metrics["train_accuracy"] <= 1.0


def test_the_last_part_of_a_batch_is_learned_and_one_cycle_spans_all_steps(
    make_trainer: MakeTrainer, digits: SequenceDataset
) -> None:
    trainer = make_trainer(batch_size=500, epochs=3)
    assert len(digits.train.y) == 1149

    epochs = list(fit(trainer))

    assert trainer.scheduler is not None
    assert trainer.scheduler.last_epoch == 9
    assert max(epoch["learning_rate"] for epoch in epochs) <= trainer.config.learning_rate
    assert epochs[-1]["learning_rate"] < trainer.config.learning_rate / 1000


def test_a_single_step_has_the_rate_that_was_asked_for(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(batch_size=2000, epochs=1)

    (epoch,) = fit(trainer)

    assert epoch["learning_rate"] == trainer.config.learning_rate


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "layers": 2, "dropout": 0.3},
        {"cell": "gru", "optimizer": "adamw", "weight_decay": 0.1, "schedule": "constant"},
    ],
)
def test_resumes_bit_for_bit(make_trainer: MakeTrainer, settings: dict[str, Any]) -> None:
    undisturbed = make_trainer(**settings)
    expected = [without_times(metrics) for metrics in fit(undisturbed)]
    first = make_trainer(**settings)
    first.run_epoch()

    torch.manual_seed(99)
    second = make_trainer(**settings)
    second.load_state(on_disk(first.state()))
    resumed = [without_times(metrics) for metrics in fit(second)]

    assert resumed == expected[1:]
    assert weights_equal(second, undisturbed)
    assert (second.best_epoch, second.best_value) == (
        undisturbed.best_epoch,
        undisturbed.best_value,
    )


def test_an_epoch_repeated_from_one_state_is_the_same(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(layers=2, dropout=0.5)
    trainer.run_epoch()
    state = trainer.state()

    runs = []
    for _ in range(2):
        trainer.load_state(state)
        runs.append(without_times(trainer.run_epoch()))

    assert runs[0] == runs[1]


def test_seeds_differ_and_a_seed_does_not(make_trainer: MakeTrainer) -> None:
    losses = [make_trainer(seed=seed).run_epoch()["train_loss"] for seed in (1, 1, 2)]

    assert losses[0] == losses[1] != losses[2]


def test_smoothed_labels_teach_a_network_to_be_less_sure(make_trainer: MakeTrainer) -> None:
    network = {"hidden_size": 32, "learning_rate": 0.02, "epochs": 5}
    sure, less = ([*fit(make_trainer(**network, label_smoothing=so))][-1] for so in (0.0, 0.3))

    assert min(sure["val_accuracy"], less["val_accuracy"]) > 0.93
    # Of the plain cross entropy: of smoothed labels none is below 1.0, their entropy.
    assert sure["train_loss"] < 0.1 < less["train_loss"] < 0.8


def test_the_best_epoch_is_kept_as_it_was(make_trainer: MakeTrainer) -> None:
    # Accuracy climbs, so that by the smallest one an early epoch stays the best.
    trainer = make_trainer(direction="minimize", learning_rate=0.01)

    values = [metrics["val_accuracy"] for metrics in fit(trainer)]

    assert values[0] < values[1] < values[2]
    assert (trainer.best_epoch, trainer.best_value) == (1, values[0])
    trainer.model.load_state_dict(trainer.best_weights)
    measured = measure(trainer.model, trainer.validation, trainer.goal, torch.float32)
    assert measured["accuracy"] == values[0]


def test_of_equal_epochs_the_first_is_best(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(learning_rate=1e-12, epochs=2)

    values = {metrics["val_accuracy"] for metrics in fit(trainer)}

    assert len(values) == 1
    assert trainer.best_epoch == 1


def test_gradients_are_clipped_only_when_asked(make_trainer: MakeTrainer) -> None:
    norms = {}
    for clip in (0.01, None):
        trainer = make_trainer(clip_norm=clip)
        measured = trainer.run_epoch()["grad_norm"]
        last = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        norms[clip] = float(torch.nn.utils.get_total_norm(last))
        assert measured > 0.1, "measured before clipping"

    assert norms[0.01] == pytest.approx(0.01, rel=1e-3)
    assert norms[None] is not None
    assert norms[None] > 0.02


@pytest.mark.parametrize("clip", [0.1, 100.0])
def test_clipping_is_pytorchs(clip: float, make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(clip_norm=None)
    trainer.run_epoch()
    weights = list(trainer.model.parameters())
    ours = [p.grad.clone() for p in weights if p.grad is not None]
    trainer.learner.clip_norm = clip

    norm = trainer.learner.clip(ours)

    assert norm == torch.nn.utils.clip_grad_norm_(weights, clip)
    assert all(map(torch.equal, ours, (p.grad for p in weights if p.grad is not None)))
    assert bool(norm > clip) == (clip == 0.1)


def test_a_loss_that_is_not_finite_ends_training_within_a_few_steps(
    make_trainer: MakeTrainer, digits: SequenceDataset
) -> None:
    x = digits.train.x.astype(np.float32)
    x[:, 3] = np.inf
    trainer = make_trainer(
        replace(digits, train=part_of(digits.train, x=x)), batch_size=16, schedule="one-cycle"
    )

    with pytest.raises(Diverged, match="not finite") as caught:
        trainer.run_epoch()

    assert trainer.scheduler is not None
    assert trainer.scheduler.last_epoch <= CHECK_STEPS
    assert math.isnan(caught.value.metrics["train_loss"])
    assert trainer.epoch == trainer.best_epoch == 0


def test_a_gradient_that_is_not_finite_is_seen_at_the_last_step(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(batch_size=2000, clip_norm=None, head="last")
    with torch.no_grad():
        # Every class gets the same huge logit: the loss is that of a guess, the gradient overflows.
        trainer.model.linear.weight.fill_(1e38)

    with pytest.raises(Diverged, match="not finite") as caught:
        trainer.run_epoch()

    assert math.isfinite(caught.value.metrics["train_loss"])
    assert not math.isfinite(caught.value.metrics["grad_norm"])


def test_a_validation_loss_that_is_not_finite_diverges(
    make_trainer: MakeTrainer, digits: SequenceDataset
) -> None:
    x = digits.validation.x.astype(np.float32)
    x[0, 0, 0] = np.nan
    trainer = make_trainer(replace(digits, validation=part_of(digits.validation, x=x)))

    with pytest.raises(Diverged, match="not finite") as caught:
        trainer.run_epoch()

    assert math.isfinite(caught.value.metrics["train_loss"])
    assert math.isnan(caught.value.metrics["val_loss"])


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_read_only_arrays_train_without_warning_or_change(
    make_trainer: MakeTrainer, digits: SequenceDataset, kind: type
) -> None:
    x: NDArray[Any] = digits.train.x.astype(kind)
    x.flags.writeable = False
    trainer = make_trainer(replace(digits, train=part_of(digits.train, x=x)))

    trainer.run_epoch()

    if trainer.device.type == "cpu":
        assert trainer.train.x.data_ptr() == x.ctypes.data, "the data were copied"
    assert np.array_equal(x, digits.train.x)


def test_what_is_measured_does_not_depend_on_the_batch_size(
    make_trainer: MakeTrainer, digits: SequenceDataset, device: torch.device
) -> None:
    trainer = make_trainer()
    model = trainer.model.eval()
    placed = Placed(device, digits.test, digits.preparation)

    found = []
    for placed.at_once in (7, 10_000):
        found.append(measure(model, placed, trainer.goal, torch.float32))

    small, large = found
    assert small == pytest.approx(large)
    answers = model(torch.from_numpy(digits.test.x).to(device) / 16.0).argmax(1).cpu().numpy()
    assert large["accuracy"] == np.mean(answers == digits.test.y)


def test_a_trial_without_a_better_epoch_ends_early(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(patience=2, epochs=9)
    trainer.sign = -1.0  # so that learning is no improvement

    epochs = list(fit(trainer))

    assert trainer.best_epoch < len(epochs) < 9
    assert len(epochs) - trainer.best_epoch == 2
    assert trainer.is_done


def test_training_sequences_are_augmented_and_others_are_not(make_trainer: MakeTrainer) -> None:
    plain, changed = make_trainer(), make_trainer(augment_noise=0.5)

    assert changed.run_epoch()["train_loss"] != plain.run_epoch()["train_loss"]
    changed.load_state(plain.state())
    first, second = (
        measure(one.model, one.validation, one.goal, torch.float32) for one in (plain, changed)
    )
    assert first == second
