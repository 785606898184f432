from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset, load_dataset
from trainables.device import configure
from trainables.folder import Folder, folder_at
from trainables.training import Trainer

TIMES = {"epoch_s", "samples_per_s", "memory_mb"}
"""Metrics that are not the same every time; on a GPU a process may have kept memory already."""

MakeTrainer = Callable[..., Trainer]

DEVICES = ["cpu", "cuda:0"] if torch.cuda.is_available() else ["cpu"]
"""Training is tested on each."""

needs_gpu = pytest.mark.skipif(len(DEVICES) < 2, reason="there is no GPU")


def small(**settings: Any) -> TrialConfig:
    return TrialConfig(**{"hidden_size": 8, "layers": 1, "epochs": 3, **settings})


def without_times(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMES}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    configure(threads=1)
    torch.set_flush_denormal(False)  # hypothesis refuses to draw numbers otherwise


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SequenceDataset:
    return load_dataset("digits", validation=0.2, seed=0, data_dir=tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def mnist_5k(tmp_path_factory: pytest.TempPathFactory) -> SequenceDataset:
    return load_dataset("mnist-5k", validation=0.1, seed=0, data_dir=tmp_path_factory.getbasetemp())


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def make_trainer(digits: SequenceDataset, device: torch.device) -> MakeTrainer:
    def make(data: SequenceDataset = digits, seed: int = 0, **settings: Any) -> Trainer:
        chosen = {
            "metric": settings.pop("metric", "val_accuracy"),
            "direction": settings.pop("direction", "maximize"),
        }
        return Trainer(small(**settings), data, seed=seed, device=device, **chosen)

    return make


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that is not there yet, of each kind."""
    if request.param == "local":
        return folder_at(str(tmp_path / "made" / "at the first write"))
    return folder_at(request.getfixturevalue("object_store").make_bucket())


@pytest.fixture
def trial_config(tmp_path: Path, device: torch.device) -> dict[str, Any]:
    return {
        "number": 7,
        "parameters": small(layers=2, dropout=0.2, batch_size=200).model_dump(),
        "seed": 3,
        "acknowledged": 0,
        "checkpoints": str(tmp_path / "000007"),
        "metric": "val_accuracy",
        "direction": "maximize",
        "target": None,
        "cpus": 1.0,
        "gpus": 1.0 if device.type == "cuda" else 0.0,
        "costs": False,
        "epoch_limit_s": 120.0,
    }
