"""The champion's weights: measured on every part of the data, exported, saved for people."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from search.checking import differences
from search.fetching import ANSWERS, replace_champion
from search.labels import describe
from search.result import Result
from search.spec import JobSpec
from search.store import first_line
from trainables import standalone
from trainables.checkpoint import Checkpoints
from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset, Shape, Targets
from trainables.export import (
    Example,
    ExportedNetwork,
    ExportError,
    build_model,
    example_of,
    export_program,
    onnx,
    pt2,
    weights_file,
)
from trainables.folder import DamagedError, Folder
from trainables.preparation import Preparation
from trainables.sources.columns import Columns

EXAMPLES = 4
"""Sequences in the input example; a single one would freeze the batch size at 1."""


def network(
    config: TrialConfig, data: SequenceDataset, weights: dict[str, torch.Tensor]
) -> ExportedNetwork:
    """Return a trained network that takes the data set's own values."""
    return build_model(config, data.shape, data.preparation, data.targets, weights)


def best_weights(result: Result, folder: Folder, run: int) -> dict[str, torch.Tensor]:
    """Return the weights of a run's best epoch.

    A trial that reached the target ended in the middle: its last checkpoint holds its best weights.
    """
    part = "confirm" if result.confirmed else "search"
    checkpoints = Checkpoints(folder.child(part).child(f"{run:06d}"))
    if checkpoints.has_best():
        return checkpoints.read_best()
    state = checkpoints.read(checkpoints.latest())
    if state is None:
        raise DamagedError(f"the weights of trial {run} are missing from {checkpoints.folder}")
    weights: dict[str, torch.Tensor] = state["trainer"]["best_weights"]
    return weights


def save_champion(  # noqa: PLR0913 - what a champion is made of
    result: Result,
    spec: JobSpec,
    job_id: str,
    data: SequenceDataset,
    folder: Folder,
    answers: bytes,
) -> None:
    """Write the champion's files into the job's folder, in place of an earlier one's."""
    chosen = result.chosen
    config = spec.config(chosen.parameters)
    model = network(config, data, best_weights(result, folder, result.champion_run))
    described = {
        "trial": config.model_dump(),
        "shape": asdict(data.shape),
        "classes": list(data.classes),
        "targets": None if data.targets is None else asdict(data.targets),
        "features": list(data.named),
        "columns": asdict(data.columns),
        "preparation": asdict(data.preparation),
        "data": {"name": data.name, "fingerprint": data.fingerprint},
        "job": job_id,
    }
    asking = {"config.json": as_json(described), "predict.py": standalone_script()}
    exports, checks = exported(model, data, asking)
    contents = {
        **exports,
        **asking,
        "weights.safetensors": weights_file(model),
        "metrics.json": as_json(metrics(result)),
        ANSWERS: answers,
        "README.md": card(result, spec, job_id, data, checks, usage(data, exports)).encode(),
    }
    replace_champion(folder.child("champion"), contents)


def standalone_script() -> bytes:
    """Return the script that asks an export without this project."""
    return Path(standalone.__file__).read_bytes()


def exported(
    model: ExportedNetwork, data: SequenceDataset, asking: Mapping[str, bytes]
) -> tuple[dict[str, bytes], str]:
    """Return the exports that answer as the model does, and what their check has shown.

    Args:
        model: what is exported.
        data: has examples.
        asking: the files with which strangers ask an export.

    Raises:
        ExportError: there is none that MLflow could serve.
    """
    example = example_of(data.validation, data.shape, EXAMPLES)
    make: dict[str, Callable[[], bytes]] = {
        "model.pt2": lambda: pt2(export_program(model, example), data.outputs),
        "model.onnx": lambda: onnx(model, example, data.outputs),
    }
    made, wrong = {}, {}
    for name, making in make.items():
        try:
            made[name] = making()
        except Exception as error:
            wrong[name] = first_line(error)
    asked = example_of(data.validation, data.shape, EXAMPLES + 1)
    apart, failed = differences({**made, **asking}, model, asked)
    wrong |= failed
    if not apart or (data.shape.varies and "model.onnx" in wrong):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise ExportError(f"no export answers as the trained network does: {reasons}")
    return {name: made[name] for name in apart}, checked(apart, wrong)


def checked(apart: Mapping[str, float], wrong: Mapping[str, str]) -> str:
    """Return what a card says of the check of its exports."""
    told = (
        "Asked in a process of its own, before this was written, the answers differed from the "
        "trained network's at the most: "
        + " and ".join(f"`{name}` by {value:.1g}" for name, value in apart.items())
        + "."
    )
    for name, reason in wrong.items():
        told += f" `{name}` is not offered: {reason}."
    return told


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


def as_json(content: Any) -> bytes:
    """Return JSON for people and programs alike."""
    return (json.dumps(content, indent=2) + "\n").encode()


def card(  # noqa: PLR0913 - what a card is made of
    result: Result, spec: JobSpec, job_id: str, data: SequenceDataset, checks: str, use: str
) -> str:
    """Return the model card.

    Args:
        result: what the job has found.
        spec: its document.
        job_id: the job.
        data: its data set.
        checks: what the check of the exports has shown.
        use: the lines of Python that ask the model.
    """
    numbers = metrics(result)["model"]
    chosen = spec.config(result.chosen.parameters)
    seeds = len(result.chosen.runs)
    runs = f"the best of {seeds} seeds on validation data" if seeds > 1 else "a single run"
    rows = "\n".join(f"| {key.replace('_', ' ')} | {value:.4f} |" for key, value in numbers.items())
    return f"""# {spec.name}: {describe(chosen)}

{article(chosen)} of {chosen.hidden_size} units that {purpose(data)}.

| this model | |
| --- | --- |
{rows}

The weights are {runs}; `metrics.json` has mean and standard deviation over the seeds, \
and the baseline's. The test part chose nothing.

## Use

```python
{use}
```

{output(data)} `model.onnx` answers the same in any ONNX runtime, \
`weights.safetensors` holds the weights alone, `config.json` what they belong to. \
`python predict.py FILE.npz` asks either, without Gatetune.{order(data)}

{checks}

## Data

`{data.name}`, fingerprint `{data.fingerprint}`: {len(data.train.y)} training, \
{len(data.validation.y)} validation and {len(data.test.y)} test sequences. Job `{job_id}`.
"""


def order(data: SequenceDataset) -> str:
    """Return in which order the features come, where they have names."""
    if not data.named:
        return ""
    lacking = "" if data.preparation.missing == "refuse" else " A missing value is NaN."
    return f"\n\nThe features, in this order: {', '.join(data.named)}.{lacking}"


def purpose(data: SequenceDataset) -> str:
    """Return what a model is for."""
    if data.targets is not None:
        return f"predicts {', '.join(data.targets.names)}"
    return f"tells {len(data.classes)} classes apart: {', '.join(data.classes)}"


def output(data: SequenceDataset) -> str:
    """Return what comes out of a model."""
    if data.targets is not None:
        return f"Output: [batch, {len(data.targets.names)}], in the units of the data set."
    return f"Output: logits [batch, {len(data.classes)}], in the order of the classes above."


def usage(data: SequenceDataset, exports: Collection[str]) -> str:
    """Return the lines that ask the model, and what goes in."""
    steps, features = data.shape.steps, data.features
    pick = "" if data.targets is not None else ".argmax(1)"
    told = f"# float32 [batch, {steps} steps, {features} features], the values of the data set"
    if "model.pt2" not in exports:
        return f"""import numpy, onnxruntime
model = onnxruntime.InferenceSession("model.onnx")
{told}
x = numpy.zeros((3, {steps}, {features}), "float32")
print(model.run(None, {{"x": x}})[0]{pick})"""
    load = 'import torch\nmodel = torch.export.load("model.pt2").module()'
    if not data.shape.varies:
        return f"{load}\n{told}\nprint(model(torch.zeros(3, {steps}, {features})){pick})"
    return f"""{load}
{told},
# anything finite after the end of a sequence; and the length of each. model.onnx takes any steps.
print(model(torch.zeros(3, {steps}, {features}), torch.tensor([{steps}, 1, 2])){pick})"""


def article(config: TrialConfig) -> str:
    """Return what a network is, such as ``An LSTM with 2 layers``."""
    cell = "An LSTM" if config.cell == "lstm" else "A GRU"
    ways = "bidirectional " if config.bidirectional else ""
    return f"{cell} with {config.layers} {ways}layer{'s' if config.layers > 1 else ''}"
