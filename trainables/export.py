"""A trained network as others load it: raw values in, answers out, with torch alone."""

import copy
import io
import json
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from trainables.batches import Prepare
from trainables.cells import RecurrentNetwork
from trainables.config import TrialConfig
from trainables.datasets import Part, Shape, Targets
from trainables.preparation import Preparation
from trainables.tracing import known_shapes

Example = tuple[Tensor, ...]
"""Sequences x [batch, steps, features]; where lengths vary, also lengths [batch]."""

OUTPUTS = "outputs.json"
"""Under which name an export keeps what its outputs are called."""

CHECKED_BATCHES = (1, 2, 5)
"""Batch sizes that an export is compared at: tracing has frozen sizes silently before."""


class ExportError(RuntimeError):
    """The exported program does not answer as the network does."""


class ExportedNetwork(nn.Module):
    """A network of values in the data set's own units, which answers in those of the targets.

    Args:
        network: what is wrapped.
        preparation: what is done to the values before the network sees them.
        targets: the numbers that it has learned; None where it answers with logits of classes.
    """

    target_offset: Tensor
    target_scale: Tensor

    def __init__(
        self, network: RecurrentNetwork, preparation: Preparation, targets: Targets | None
    ) -> None:
        super().__init__()
        self.network = network
        self.prepare = Prepare(preparation)
        self.restores = targets is not None
        if targets is not None:
            for name, values in (("offset", targets.offset), ("scale", targets.scale)):
                self.register_buffer(f"target_{name}", torch.tensor(values), persistent=False)

    @property
    def spread(self) -> Tensor:
        """In what the outputs are compared: the targets' deviations [outputs], 1 for logits."""
        return self.target_scale if self.restores else torch.ones(())

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs [batch, outputs] of float32 values [batch, steps, features]."""
        return self.restored(self.network(self.prepare(x)))

    def restored(self, outputs: Tensor) -> Tensor:
        """Return the network's outputs in the targets' own units."""
        return outputs * self.target_scale + self.target_offset if self.restores else outputs


class ExportedOfLengths(ExportedNetwork):
    """An `ExportedNetwork` of sequences of unequal lengths."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Return the outputs [batch, outputs] of float32 values [batch, steps, features].

        Args:
            x: whatever follows a sequence in it changes nothing.
            lengths: [batch] int64, of each sequence.
        """
        return self.restored(self.network(self.prepare(x), lengths))


def build_model(
    config: TrialConfig,
    shape: Shape,
    preparation: Preparation,
    targets: Targets | None,
    weights: dict[str, Tensor],
) -> ExportedNetwork:
    """Return the network of a trial on the CPU, ready to answer.

    Args:
        config: of the trial.
        shape: of the data.
        preparation: of the data.
        targets: of the data.
        weights: as `Checkpoints.read_best` returns them.

    Raises:
        RuntimeError: the weights are those of another network.
    """
    network = RecurrentNetwork(config, shape)
    network.load_state_dict(weights)
    kind = ExportedOfLengths if shape.varies else ExportedNetwork
    return kind(network, preparation, targets).eval()


def example_of(part: Part, shape: Shape, count: int) -> Example:
    """Return the first sequences of a part as a model takes them.

    Args:
        part: of fewer, some come again.
        shape: of the data set; where lengths vary, sequences are padded to its steps with zeros.
        count: how many.
    """
    rows = np.arange(count) % len(part)
    if part.lengths is None:
        return (torch.tensor(part.x[rows], dtype=torch.float32),)
    x = torch.zeros(count, shape.steps, part.x.shape[-1])
    for place, row in enumerate(rows.tolist()):
        sequence = part.sequence(row)
        x[place, : len(sequence)] = torch.tensor(sequence)
    return x, torch.tensor(part.lengths[rows])


def export_program(model: ExportedNetwork, example: Example) -> ExportedProgram:
    """Return the model as a program for any batch size, compared with the model at some of them.

    It takes sequences of the example's steps alone: the time axis cannot be kept free.

    Args:
        model: as `build_model` returns it.
        example: in the data set's units, at least 2 sequences: one would freeze the batch size at
            1.

    Raises:
        ValueError: the example is too small.
        ExportError: the program's answers differ from the model's.
    """
    if len(example[0]) < 2:
        raise ValueError(f"the example needs at least 2 sequences, but has {len(example[0])}")
    with warnings.catch_warnings(), known_shapes():
        # Recurrent layers keep a second list of their weights, which tracing exchanges and puts
        # back; the weights themselves are registered and exported.
        warnings.filterwarnings("ignore", r"The tensor attributes .*_flat_weights", UserWarning)
        program = torch.export.export(
            copy.deepcopy(model), example, dynamic_shapes=tuple({0: Dim("batch")} for _ in example)
        )
    compare(model, program.module(), example, "the export")
    return program


def onnx(model: ExportedNetwork, example: Example, names: Sequence[str]) -> bytes:
    """Return the model in ONNX's format, for any batch size and, where lengths vary, any steps.

    Its inputs are ``x`` and, where lengths vary, ``lengths``; its output is ``outputs``. Compared
    with the model in onnxruntime, where lengths vary at shorter ones, too.

    Args:
        model: as `build_model` returns it.
        example: in the data set's units.
        names: of the outputs, kept as the model's metadata under `OUTPUTS`.

    Raises:
        ExportError: its answers differ from the model's.
    """
    inputs = ["x", "lengths"][: len(example)]
    steps = {1: "steps"} if len(example) > 1 else {}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The newer exporter, of which these warn, freezes the number of steps; and tracing warns
        # of any batch size but 1 and of initial states, which are made from the batch here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            copy.deepcopy(model),
            example,
            buffer,  # type: ignore[arg-type]  # any file will do
            dynamo=False,
            input_names=inputs,
            output_names=["outputs"],
            dynamic_axes={
                "x": {0: "batch", **steps}, "lengths": {0: "batch"}, "outputs": {0: "batch"}
            },
        )  # fmt: skip
    content = named(buffer.getvalue(), names)
    answer = answers(content)
    compare(model, answer, example, "the ONNX export")
    if len(example) > 1:
        x, lengths = example
        shorter = max(1, x.shape[1] // 2)
        compare(model, answer, (x[:, :shorter], lengths.clamp_max(shorter)), "the ONNX export")
    return content


def named(content: bytes, names: Sequence[str]) -> bytes:
    """Return a model in ONNX's format with the names of its outputs."""
    import onnx as format_of  # takes a second

    model = format_of.load_model_from_string(content)
    format_of.helper.set_model_props(model, {OUTPUTS: json.dumps(list(names))})
    return bytes(model.SerializeToString())


def answers(content: bytes) -> Callable[..., Tensor]:
    """Return what a model in ONNX's format answers, by onnxruntime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options)
    names = [one.name for one in session.get_inputs()]

    def answer(*inputs: Tensor) -> Tensor:
        given = {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return answer


def compare(
    model: ExportedNetwork, answer: Callable[..., Tensor], example: Example, what: str
) -> None:
    """Make sure that an export answers as the model does, at some batch sizes.

    Numbers are compared in parts of their spread, in which the network answers.

    Raises:
        ExportError: it does not.
    """
    for size in CHECKED_BATCHES:
        rows = torch.arange(size) % len(example[0])
        some = [one[rows] for one in example]
        with torch.inference_mode():
            wanted, got = model(*some), answer(*some)
        if not ((wanted - got).abs() <= 1e-4 * wanted.abs() + 1e-5 * model.spread).all():
            apart = float((wanted - got).abs().max())
            raise ExportError(f"at batch size {size} the outputs of {what} are {apart:.2g} apart")


def pt2(program: ExportedProgram, names: Sequence[str]) -> bytes:
    """Return a program as a file; ``torch.export.load(path).module()`` answers without us.

    Args:
        program: as `export_program` returns it.
        names: of the outputs: classes, as the data's labels call them, or targets. They are an
            extra file of it, `OUTPUTS`.
    """
    buffer = io.BytesIO()
    # Straight to a full disk it would abort the process.
    torch.export.save(program, buffer, extra_files={OUTPUTS: json.dumps(list(names))})
    return buffer.getvalue()


def weights_file(model: ExportedNetwork) -> bytes:
    """Return the network's weights as a file of safetensors."""
    return save(model.network.state_dict())
