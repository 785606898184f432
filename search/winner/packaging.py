"""A trained network as people take it away: exports that were checked, weights, and a card."""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.common.labels import describe, format_value
from search.common.texts import first_line, literal
from search.winner.checking import Strangers, strangers
from trainables import standalone
from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset
from trainables.device import one_thread
from trainables.export import (
    ExportedNetwork,
    ExportError,
    example_of,
    export_program,
    onnx,
    pt2,
    weights_file,
)

EXAMPLES = 4
"""Sequences in the input example; a single one would freeze the batch size at 1."""


@dataclass(frozen=True)
class About:
    """What is said of a model.

    Attributes:
        name: of its job's document.
        job_id: its job.
        config: what it was trained with.
        numbers: its metrics, by name.
        origin: sentences that say which weights they are.
        metrics: what metrics.json holds.
    """

    name: str
    job_id: str
    config: TrialConfig
    numbers: Mapping[str, float]
    origin: str
    metrics: Mapping[str, Any]


def strangers_to(data: SequenceDataset) -> AbstractContextManager[Strangers]:
    """Begin the processes that ask the exports of a network, well ahead of these.

    Args:
        data: what the network learns.
    """
    return strangers(example_of(data.validation, data.shape, EXAMPLES + 1))


def packaged(
    model: ExportedNetwork, data: SequenceDataset, about: About, asked: Strangers
) -> dict[str, bytes]:
    """Return the files of a model by name, the exports among them that answer as it does.

    Args:
        model: the trained network.
        data: what it has learned.
        about: what is said of it.
        asked: who asks its exports.

    Raises:
        ExportError: there is no export that MLflow could serve.
    """
    described = {
        "trial": about.config.model_dump(),
        "shape": asdict(data.shape),
        "classes": list(data.classes),
        "targets": None if data.targets is None else asdict(data.targets),
        "features": list(data.named),
        "columns": asdict(data.columns),
        "preparation": asdict(data.preparation),
        "data": {"name": data.name, "fingerprint": data.fingerprint},
        "job": about.job_id,
    }
    asking = {
        "config.json": as_json(described),
        "predict.py": Path(standalone.__file__).read_bytes(),
    }
    exports, checks = exported(model, data, asking, asked)
    return {
        **exports,
        **asking,
        "weights.safetensors": weights_file(model),
        "metrics.json": as_json(about.metrics),
        "README.md": card(about, data, checks, exports).encode(),
    }


def exported(
    model: ExportedNetwork,
    data: SequenceDataset,
    asking: Mapping[str, bytes],
    asked: Strangers,
) -> tuple[dict[str, bytes], str]:
    """Return the exports that answer as the model does, and what their check has shown.

    Args:
        model: what is exported.
        data: has examples.
        asking: the files with which strangers ask an export.
        asked: the strangers.

    Raises:
        ExportError: there is none that MLflow could serve.
    """
    example = example_of(data.validation, data.shape, EXAMPLES)
    make: dict[str, Callable[[], bytes]] = {
        "model.pt2": lambda: pt2(export_program(model, example), data.outputs),
        "model.onnx": lambda: onnx(model, example, data.outputs),
    }
    made, wrong = {}, {}
    with one_thread():  # the strangers have the other processors
        for name, making in make.items():
            try:
                made[name] = making()
            except Exception as error:
                wrong[name] = first_line(error)
        apart, failed = asked.differences({**made, **asking}, model)
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


def as_json(content: Any) -> bytes:
    """Return JSON for people and programs alike."""
    return (json.dumps(content, indent=2) + "\n").encode()


def card(about: About, data: SequenceDataset, checks: str, exports: Collection[str]) -> str:
    """Return the model card.

    Args:
        about: what is said of the model.
        data: its data set.
        checks: what the check of the exports has shown.
        exports: names of those that are offered.
    """
    config = about.config
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {format_value(value)} |"
        for name, value in about.numbers.items()
    )
    anywhere = (
        "`model.onnx` answers the same in any ONNX runtime, " if "model.onnx" in exports else ""
    )
    return f"""# {about.name}: {describe(config)}

{article(config)} of {config.hidden_size} units that {purpose(data)}.

| this model | |
| --- | --- |
{rows}

{about.origin}

## Use

```python
{usage(data, exports)}
```

{output(data)} {anywhere}`weights.safetensors` holds the weights alone, `config.json` what they \
belong to. `python predict.py FILE.npz` asks the model, without Gatetune.{order(data)}

{checks}

## Data

`{data.name}`, fingerprint `{data.fingerprint}`: {len(data.train.y)} training, \
{len(data.validation.y)} validation and {len(data.test.y)} test sequences. Job `{about.job_id}`.
"""


def order(data: SequenceDataset) -> str:
    """Return in which order the features come, where they have names."""
    if not data.named:
        return ""
    lacking = "" if data.preparation.missing == "refuse" else " A missing value is NaN."
    return f"\n\nThe features, in this order: {', '.join(map(literal, data.named))}.{lacking}"


def purpose(data: SequenceDataset) -> str:
    """Return what a model is for."""
    if data.targets is not None:
        return f"predicts {', '.join(map(literal, data.targets.names))}"
    return f"tells {len(data.classes)} classes apart: {', '.join(map(literal, data.classes))}"


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
    finite = "\n# anything finite after the end of a sequence; and the length of each."
    if "model.pt2" not in exports:
        lengths = f', "lengths": numpy.array([{steps}, 1, 2])' if data.shape.varies else ""
        return f"""import numpy, onnxruntime
model = onnxruntime.InferenceSession("model.onnx")
{told}{f",{finite}" if lengths else ""}
x = numpy.zeros((3, {steps}, {features}), "float32")
print(model.run(None, {{"x": x{lengths}}})[0]{pick})"""
    load = 'import torch\nmodel = torch.export.load("model.pt2").module()'
    if not data.shape.varies:
        return f"{load}\n{told}\nprint(model(torch.zeros(3, {steps}, {features})){pick})"
    return f"""{load}
{told},{finite} model.onnx takes any steps.
print(model(torch.zeros(3, {steps}, {features}), torch.tensor([{steps}, 1, 2])){pick})"""


def article(config: TrialConfig) -> str:
    """Return what a network is, such as ``An LSTM with 2 layers``."""
    cell = "An LSTM" if config.cell == "lstm" else "A GRU"
    ways = "bidirectional " if config.bidirectional else ""
    return f"{cell} with {config.layers} {ways}layer{'s' if config.layers > 1 else ''}"
