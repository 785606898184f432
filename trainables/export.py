"""A trained network as others load it: raw values in, logits out, with torch alone."""

import copy
import io
import warnings
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from trainables.cells import RecurrentClassifier
from trainables.config import TrialConfig

CHECKED_BATCHES = (1, 2, 5)
"""Batch sizes that an export is compared at: tracing has frozen sizes silently before."""


class ExportError(RuntimeError):
    """The exported program does not answer as the network does."""


class ExportedClassifier(nn.Module):
    """A classifier of values in the data set's own units.

    Args:
        classifier: what is wrapped.
        scale: the classifier sees the values divided by this.
    """

    def __init__(self, classifier: RecurrentClassifier, scale: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [batch, classes] of float32 values [batch, steps, features]."""
        return cast("Tensor", self.classifier(x / self.scale))


def build_model(  # noqa: PLR0913 - the shape of the data and what was learned from it
    config: TrialConfig,
    *,
    steps: int,
    features: int,
    classes: int,
    scale: float,
    weights: dict[str, Tensor],
) -> ExportedClassifier:
    """Return the network of a trial on the CPU, ready to answer.

    Args:
        config: of the trial.
        steps: length of every sequence.
        features: values a step.
        classes: number of classes.
        scale: of the data set.
        weights: as `Checkpoints.read_best` returns them.

    Raises:
        RuntimeError: the weights are those of another network.
    """
    classifier = RecurrentClassifier(config, steps=steps, features=features, classes=classes)
    classifier.load_state_dict(weights)
    return ExportedClassifier(classifier, scale).eval()


def export_program(model: ExportedClassifier, example: NDArray[np.float32]) -> ExportedProgram:
    """Return the model as a program for any batch size, compared with the model at some of them.

    Args:
        model: as `build_model` returns it.
        example: [batch, steps, features] in the data set's units, at least 2 sequences: one would
            freeze the batch size at 1.

    Raises:
        ValueError: the example is too small.
        ExportError: the program's answers differ from the model's.
    """
    if len(example) < 2:
        raise ValueError(f"the example needs at least 2 sequences, but has {len(example)}")
    rows = torch.from_numpy(np.array(example, dtype=np.float32))
    with warnings.catch_warnings():
        # Recurrent layers keep a second list of their weights, which tracing exchanges and puts
        # back; the weights themselves are registered and exported.
        warnings.filterwarnings("ignore", r"The tensor attributes .*_flat_weights", UserWarning)
        program = torch.export.export(
            copy.deepcopy(model), (rows,), dynamic_shapes={"x": {0: Dim("batch")}}
        )
    answer = program.module()
    for size in CHECKED_BATCHES:
        x = rows[torch.arange(size) % len(rows)]
        with torch.inference_mode():
            wanted, got = model(x), answer(x)
        if not torch.allclose(wanted, got, rtol=1e-4, atol=1e-5):
            apart = float((wanted - got).abs().max())
            raise ExportError(f"at batch size {size} the export's logits are {apart:.2g} apart")
    return program


def pt2(program: ExportedProgram) -> bytes:
    """Return a program as a file; ``torch.export.load(path).module()`` answers without us."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)  # straight to a full disk it would abort the process
    return buffer.getvalue()


def weights_file(model: ExportedClassifier) -> bytes:
    """Return the classifier's weights as a file of safetensors."""
    return save(model.classifier.state_dict())
