"""The usual glue of Ray Tune, Optuna and MLflow, as the libraries' own documents show it.

    python -m benchmarks.glue --seed 0 --trials 20 --epochs 5 --folder DIR

Searches the space of `jobs/mnist-5k.yaml` on the same split, with the notebook's training: an LSTM
or a GRU of torch, a data loader, Adam with a constant learning rate. Every epoch's time and
accuracy go to `epochs.jsonl` in the folder before anything else is told of them. OptunaSearch,
ASHAScheduler and MLflowLoggerCallback have their defaults. The data is loaded once for all trials,
as `tune.with_parameters` is meant for. Two trials run at once; where there is a GPU, they share it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import optuna
import ray
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from search.common.home import Home
from trainables.datasets import Part, load_dataset

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")

SPACE = {
    "cell": tune.choice(["lstm", "gru"]),
    "hidden_size": tune.qrandint(64, 256, 64),
    "layers": tune.randint(1, 3),
    "learning_rate": tune.loguniform(1e-3, 2e-2),
}


class Network(nn.Module):
    """The notebook's network: recurrent layers, and a linear one over all of their outputs."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        cell = nn.LSTM if config["cell"] == "lstm" else nn.GRU
        self.recurrent = cell(28, config["hidden_size"], config["layers"], batch_first=True)
        self.linear = nn.Linear(28 * config["hidden_size"], 10)

    def forward(self, x: Tensor) -> Any:
        """Return the logits of images, row by row."""
        outputs, _ = self.recurrent(x)
        return self.linear(outputs.flatten(1))


def train(config: dict[str, Any], data: dict[str, TensorDataset], epochs: int) -> None:
    """Train one configuration and report every epoch."""
    model = Network(config).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])
    loss_of = nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        for x, y in DataLoader(data["train"], batch_size=64, shuffle=True):
            optimizer.zero_grad()
            loss_of(model(x.to(DEVICE)), y.to(DEVICE)).backward()
            optimizer.step()
        tune.report(validate(model, data["validation"]))


def validate(model: nn.Module, data: TensorDataset) -> dict[str, float]:
    """Return loss and accuracy on the validation part."""
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for inputs, labels in DataLoader(data, batch_size=64):
            x, y = inputs.to(DEVICE), labels.to(DEVICE)
            logits = model(x)
            loss += float(nn.functional.cross_entropy(logits, y, reduction="sum"))
            correct += int((logits.argmax(1) == y).sum())
    return {"val_loss": loss / len(data), "val_accuracy": correct / len(data)}


class Clock(tune.Callback):
    """Notes when the driver knows of an epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Add an epoch to the file."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([time.time(), result["val_accuracy"]]) + "\n")


def dataset(seed: int) -> dict[str, TensorDataset]:
    """Return training and validation part, split as the job of this seed splits them."""
    found = load_dataset(
        "mnist-5k", validation=0.2, seed=seed, data_dir=Home.from_environment().data
    )

    def part(of: Part) -> TensorDataset:
        white = found.preparation.scale[0]
        return TensorDataset(torch.tensor(of.x / white).float(), torch.tensor(of.y))

    return {"train": part(found.train), "validation": part(found.validation)}


def search(options: argparse.Namespace) -> None:
    """Search on two processors, one a trial."""
    folder: Path = options.folder
    ray.init(num_cpus=2)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    trainable = tune.with_parameters(train, data=dataset(options.seed), epochs=options.epochs)
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1, "gpu": 0.5 if ON_GPU else 0}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                metric="val_accuracy",
                mode="max",
                seed=options.seed,
                storage=storage,
                study_name="glue",
            ),
            scheduler=ASHAScheduler(metric="val_accuracy", mode="max"),
            num_samples=options.trials,
        ),
        run_config=tune.RunConfig(
            name="glue",
            storage_path=str(folder),
            callbacks=[
                Clock(folder / "epochs.jsonl"),
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="glue"
                ),
            ],
        ),
    ).fit()


def main() -> None:
    """Read the options, and search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--seed", "--trials", "--epochs"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    search(parser.parse_args())


if __name__ == "__main__":
    main()
