"""The champion's weights: measured on every part of the data, exported, saved for people."""

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load

from search.database.result import Result
from search.document.spec import JobSpec
from search.winner.checking import Strangers
from search.winner.fetching import ANSWERS, replace_champion
from search.winner.packaging import EXAMPLES, About, packaged
from trainables.checkpoint import Checkpoints, trial_folder
from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset, Shape, Targets
from trainables.export import Example, ExportedNetwork, build_model
from trainables.folder import DamagedError, Folder
from trainables.preparation import Preparation
from trainables.sources.columns import Columns


def network(
    config: TrialConfig, data: SequenceDataset, weights: dict[str, torch.Tensor]
) -> ExportedNetwork:
    """Return a trained network that takes the data set's own values."""
    return build_model(config, data.shape, data.preparation, data.targets, weights)


def best_weights(result: Result, folder: Folder, run: int) -> dict[str, torch.Tensor]:
    """Return the weights of the best epoch of one of the runs that were compared."""
    return weights_of(folder.child("confirm" if result.confirmed else "search"), run)


def weights_of(folder: Folder, number: int) -> dict[str, torch.Tensor]:
    """Return the weights of a trial's best epoch.

    A trial that reached the target ended in the middle: its last checkpoint holds its best weights.

    Args:
        folder: its study's.
        number: of the trial.

    Raises:
        DamagedError: they are not there.
    """
    checkpoints = Checkpoints(folder.child(trial_folder(number)))
    if checkpoints.has_best():
        return checkpoints.read_best()
    state = checkpoints.read(checkpoints.latest())
    if state is None or state["trainer"] is None:
        raise DamagedError(f"the weights of trial {number} are missing from {checkpoints.folder}")
    weights: dict[str, torch.Tensor] = state["trainer"]["best_weights"]
    return weights


def save_champion(  # noqa: PLR0913 - what a champion is made of
    result: Result,
    spec: JobSpec,
    job_id: str,
    data: SequenceDataset,
    folder: Folder,
    answers: bytes,
    asked: Strangers,
) -> None:
    """Write the champion's files into the job's folder, in place of an earlier one's."""
    config = spec.config(result.chosen.parameters)
    model = network(config, data, best_weights(result, folder, result.champion_run))
    seeds = len(result.chosen.runs)
    runs = f"the best of {seeds} seeds on validation data" if seeds > 1 else "a single run"
    told = metrics(result)
    about = About(
        name=spec.name,
        job_id=job_id,
        config=config,
        numbers=told["model"],
        origin=(
            f"The weights are {runs}; `metrics.json` has mean and standard deviation over the "
            "seeds, and the baseline's. The test part chose nothing."
        ),
        metrics=told,
    )
    contents = packaged(model, data, about, asked) | {ANSWERS: answers}
    replace_champion(folder.child("champion"), contents)


@dataclass(frozen=True)
class Saved:
    """A saved champion.

    Attributes:
        model: the network, ready to answer.
        shape: of the data that it has learned.
        preparation: of them.
        classes: their names; none where it predicts numbers.
        targets: the numbers; None where it tells classes apart.
        columns: which column of a table was what; nothing where the data were no table.
    """

    model: ExportedNetwork
    shape: Shape
    preparation: Preparation
    classes: tuple[str, ...]
    targets: Targets | None
    columns: Columns

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output stands for: a class, or a target."""
        return self.targets.names if self.targets else self.classes

    def example(self) -> Example:
        """Return an input of some sequences in the data's units."""
        sizes = (EXAMPLES, self.shape.steps, self.preparation.features)
        waves = torch.arange(float(math.prod(sizes))).sin().reshape(sizes).abs()
        offset, scale = (torch.tensor(getattr(self.preparation, k)) for k in ("offset", "scale"))
        x = offset + waves * scale
        if not self.shape.varies:
            return (x,)
        return x, torch.arange(EXAMPLES) % self.shape.steps + 1


def load_saved(folder: Folder) -> Saved:
    """Return a saved champion."""
    said = json.loads(folder.read("config.json"))
    shape, preparation = Shape(**said["shape"]), Preparation.of(said["preparation"])
    targets = Targets.of(said["targets"])
    config, weights = TrialConfig(**said["trial"]), load(folder.read("weights.safetensors"))
    return Saved(
        model=build_model(config, shape, preparation, targets, weights),
        shape=shape,
        preparation=preparation,
        classes=tuple(said["classes"]),
        targets=targets,
        columns=Columns.of(said["columns"]),
    )


def metrics(result: Result) -> dict[str, Any]:
    """Return the champion's numbers and those of the configuration that it stands for."""
    at = result.chosen.runs.index(result.champion_run)
    name = result.metric.removeprefix("val_")
    return {
        "model": {
            f"validation_{name}": result.chosen.validation[at],
            f"train_{name}": result.chosen.train[at],
            f"test_{name}": result.chosen.test[at],
        },
        "configuration": result.summary(),
    }
