"""How batches are learned; on a GPU the same networks in its own arithmetic, every time alike."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch

from search.driver.packing import UNSURE, WORKSPACE_MB, held_mb
from search.study.cost import Sizes
from tests.trainables.conftest import needs_gpu, small, without_times
from trainables.batches import measure
from trainables.datasets import Part, SequenceDataset, Targets
from trainables.learning import Lowered
from trainables.preparation import Preparation
from trainables.training import Trainer, fit

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def made(*, varies: bool = False, numbers: bool = False, missing: bool = False) -> SequenceDataset:
    """Random walks of two features whose class, or number, is that of their slope."""
    rng = np.random.default_rng(0)

    def part(count: int) -> Part:
        slopes = rng.normal(size=count).astype(np.float32)
        lengths = rng.integers(4, 17, count) if varies else np.full(count, 16)
        walks = [
            (slope * np.arange(length)[:, None] + rng.normal(size=(length, 2))).astype(np.float32)
            for slope, length in zip(slopes, lengths, strict=True)
        ]
        x = np.concatenate(walks) if varies else np.stack(walks)
        if missing:
            x[rng.random(x.shape) < 0.2] = np.nan
        y = slopes[:, None] if numbers else (slopes > 0.5).astype(np.int64)
        return Part(x, y, lengths if varies else None)

    preparation = Preparation(
        (0.0, 0.5), (5.0, 6.0), missing="forward" if missing else "refuse", mask=missing
    )
    return SequenceDataset(
        "walks", part(400), part(100), part(100),
        () if numbers else ("down", "up"), preparation, fingerprint="",
        targets=Targets(("slope",), (0.0,), (1.0,)) if numbers else None,
    )  # fmt: skip


JOBS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"cell": "lstm"}),
    ({}, {"cell": "gru"}),
    ({}, {"cell": "lstm", "bidirectional": True, "head": "last"}),
    ({}, {"cell": "gru", "layers": 2, "dropout": 0.3, "head": "mean"}),
    (
        {},
        {
            "optimizer": "adamw",
            "class_weights": "balanced",
            "label_smoothing": 0.1,
            "clip_norm": None,
        },
    ),
    ({"varies": True}, {"cell": "lstm", "head": "last"}),
    ({"varies": True}, {"cell": "gru", "bidirectional": True, "head": "mean", "layers": 2}),
    ({"missing": True, "varies": True}, {"head": "last"}),
    ({"numbers": True}, {"head": "last"}),
]


def trainer(data: SequenceDataset, device: torch.device, **settings: Any) -> Trainer:
    settings = {"batch_size": 64, "learning_rate": 0.01, "hidden_size": 32, **settings}
    return Trainer(
        small(**settings), data, seed=3, device=device, metric="val_loss", direction="minimize"
    )


def test_a_copy_in_bfloat16_has_the_weights_of_now_and_gives_its_gradients() -> None:
    network = trainer(made(), CPU).model
    weights = list(network.parameters())
    lowered = Lowered(network)
    with torch.no_grad():
        for weight in weights:
            weight.add_(1)

    lowered.pull(weights)
    outputs = lowered(torch.ones(2, 16, 2))
    outputs.sum().backward()
    lowered.push(weights)

    assert outputs.dtype == torch.bfloat16
    for weight, copy in zip(weights, lowered.parameters(), strict=True):
        assert torch.equal(copy, weight.bfloat16())
        assert weight.grad is not None
        assert copy.grad is not None
        assert torch.equal(weight.grad, copy.grad.float())


@needs_gpu
@pytest.mark.parametrize("varies", [False, True])
def test_a_graph_learns_what_its_operations_do_one_by_one(varies: bool) -> None:
    """With random numbers that go on from batch to batch."""
    data, settings = made(varies=varies), {"layers": 2, "dropout": 0.3, "augment_noise": 0.5}
    graphs, plain = (trainer(data, GPU, head="last", **settings).learner for _ in range(2))
    rows = graphs.train.batches(torch.arange(len(data.train.y)), 64)
    found = []
    for learner, learn in ((graphs, graphs.learn), (plain, plain.compute)):
        learner.network.train()
        torch.manual_seed(0)
        sums = []
        for one in (*rows, *rows):
            learn(one)
            sums.append(learner.sums.tolist())
        found.append(sums)

    assert found[0] == [pytest.approx(one, rel=1e-3) for one in found[1]]
    assert found[0][len(rows)] != pytest.approx([2 * one for one in found[0][0]], rel=1e-3)


@needs_gpu
@pytest.mark.parametrize(("kind", "settings"), JOBS)
def test_trains_as_a_processor_does(kind: dict[str, Any], settings: dict[str, Any]) -> None:
    # The same order of batches, but other numbers dropped.
    settings = settings | {"precision": "float32", "dropout": 0.0}
    there, here = (list(fit(trainer(made(**kind), one, **settings))) for one in (GPU, CPU))

    for ours, theirs in zip(there, here, strict=True):
        for name in ("train_loss", "val_loss", "grad_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.02), name


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [*JOBS, ({"varies": True}, {"head": "last", "augment_shift": 0.1, "augment_warp": 0.2,
                                "augment_scale": 0.1, "augment_noise": 0.1})],
)  # fmt: skip
def test_every_time_alike(kind: dict[str, Any], settings: dict[str, Any], precision: str) -> None:
    data = made(**kind)

    first, second = (
        [without_times(one) for one in fit(trainer(data, GPU, precision=precision, **settings))]
        for _ in range(2)
    )

    assert first == second
    assert first[-1]["train_loss"] < first[0]["train_loss"]


@needs_gpu
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bfloat16_has_the_range_of_float32(cell: str) -> None:
    # In half precision numbers as large as these are endless, and small gradients are lost.
    data = made()
    huge = replace(data, train=replace(data.train, x=data.train.x * np.float32(1e5)))
    one = trainer(huge, GPU, cell=cell, precision="bfloat16")

    assert np.isfinite(one.run_epoch()["train_loss"])
    assert one.learner.network(torch.ones(2, 16, 2, device=GPU)).dtype == torch.bfloat16


def used_mb(settings: dict[str, Any], data: SequenceDataset) -> float:
    """Return what two epochs of a process of their own keep."""
    one = trainer(data, GPU, **settings)
    one.run_epoch()
    return one.run_epoch()["memory_mb"]


@needs_gpu
@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "hidden_size": 256, "layers": 2},
        {"cell": "gru", "hidden_size": 512, "layers": 3, "batch_size": 256},
        {"cell": "lstm", "hidden_size": 32, "batch_size": 500, "precision": "bfloat16"},
    ],
)
def test_memory_is_about_what_is_predicted(
    settings: dict[str, Any], mnist_5k: SequenceDataset
) -> None:
    fresh = get_context("spawn")
    with ProcessPoolExecutor(1, fresh) as pool:
        used = pool.submit(used_mb, settings, mnist_5k).result()

    config = trainer(mnist_5k, CPU, **settings | {"precision": "float32"}).config
    predicted = WORKSPACE_MB + held_mb(config, Sizes.of(mnist_5k))
    assert predicted / 3 < used < UNSURE * predicted


@needs_gpu
def test_weights_learned_here_answer_alike_on_a_processor(mnist_5k: SequenceDataset) -> None:
    one = trainer(mnist_5k, GPU, precision="float32", epochs=1)
    there = one.run_epoch()["val_accuracy"]
    other = trainer(mnist_5k, CPU, epochs=1)
    other.model.load_state_dict(one.best_weights)

    here = measure(other.model, other.validation, other.goal, torch.float32)["accuracy"]

    assert here == pytest.approx(there, abs=0.005)
