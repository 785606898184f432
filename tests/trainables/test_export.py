import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load_model_from_string
from safetensors.torch import load
from torch import Tensor

from tests.trainables.conftest import small
from trainables.cells import RecurrentNetwork
from trainables.datasets import SequenceDataset, Shape, Targets
from trainables.export import (
    ExportedNetwork,
    ExportError,
    answers,
    build_model,
    compare,
    example_of,
    export_program,
    onnx,
    pt2,
    weights_file,
)
from trainables.preparation import Preparation
from trainables.sources import Missing

LOAD = """
import json, sys
import numpy as np, torch
extra = {"outputs.json": ""}
answer = torch.export.load("model.pt2", extra_files=extra).module()
assert json.loads(extra["outputs.json"]) == list("0123456789")
logits = answer(torch.from_numpy(np.load("x.npy")))
print(json.dumps([logits.tolist(), [name for name in sys.modules if "trainables" in name]]))
"""


def model_for(data: SequenceDataset, **settings: Any) -> ExportedNetwork:
    config = small(**settings)
    torch.manual_seed(0)
    weights = RecurrentNetwork(config, data.shape).state_dict()
    return build_model(config, data.shape, data.preparation, data.targets, weights)


def raw(data: SequenceDataset, size: int) -> torch.Tensor:
    return example_of(data.test, data.shape, size)[0]


def test_takes_values_in_the_units_of_the_data(digits: SequenceDataset) -> None:
    model = model_for(digits, dropout=0.5, layers=2)
    x = raw(digits, 3)

    torch.testing.assert_close(model(x), model.network(x / 16.0))
    assert not model.training


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "lstm", "head": "all-steps", "layers": 2},
        {"cell": "gru", "head": "last", "bidirectional": True},
        {"cell": "lstm", "head": "mean", "layers": 2, "dropout": 0.3},
    ],
)
def test_the_program_answers_any_batch_as_the_model_does(
    digits: SequenceDataset, settings: dict[str, Any]
) -> None:
    model = model_for(digits, **settings)

    answer = export_program(model, (raw(digits, 2),)).module()

    for size in (1, 3, 17):
        x = raw(digits, size)
        torch.testing.assert_close(answer(x), model(x))


def test_loads_with_torch_alone(mnist_5k: SequenceDataset, tmp_path: Path) -> None:
    model = model_for(mnist_5k, cell="gru")
    (tmp_path / "model.pt2").write_bytes(
        pt2(export_program(model, (raw(mnist_5k, 4),)), mnist_5k.classes)
    )
    np.save(tmp_path / "x.npy", raw(mnist_5k, 7).numpy())

    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", LOAD],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    logits, ours = json.loads(run.stdout)
    assert ours == []
    torch.testing.assert_close(torch.tensor(logits), model(raw(mnist_5k, 7)), rtol=1e-4, atol=1e-5)


def test_weights_come_back_whole(digits: SequenceDataset) -> None:
    model = model_for(digits)

    weights = load(weights_file(model))

    assert weights.keys() == model.network.state_dict().keys()
    assert torch.equal(weights["linear.weight"], model.network.linear.weight)


def test_an_example_of_one_row_is_refused(digits: SequenceDataset) -> None:
    with pytest.raises(ValueError, match="at least 2 sequences, but has 1"):
        export_program(model_for(digits), (raw(digits, 1),))


def test_weights_of_another_network_are_refused(digits: SequenceDataset) -> None:
    weights = model_for(digits, hidden_size=4).network.state_dict()

    with pytest.raises(RuntimeError, match="size mismatch"):
        build_model(small(), digits.shape, digits.preparation, None, weights)


UNEQUAL = [
    {"cell": "lstm", "head": "last", "layers": 2, "dropout": 0.3},
    {"cell": "gru", "head": "mean", "bidirectional": True},
]


def of_lengths(settings: dict[str, Any], missing: Missing, targets: Targets | None = None) -> Any:
    """Return a model of sequences of unequal lengths, and five of them."""
    preparation = Preparation((1.0, 2.0), (3.0, 4.0), missing, mask=missing != "refuse")
    shape = Shape(steps=7, inputs=preparation.inputs, outputs=3, varies=True)
    config = small(**settings)
    torch.manual_seed(0)
    weights = RecurrentNetwork(config, shape).state_dict()
    model = build_model(config, shape, preparation, targets, weights)
    x = torch.randn(5, 7, 2)
    if missing != "refuse":
        x[torch.rand(5, 7, 2) < 0.3] = torch.nan
    return model, (x, torch.tensor([7, 1, 4, 2, 6]))


@pytest.mark.parametrize("missing", ["refuse", "zero", "mean", "forward"])
@pytest.mark.parametrize("settings", UNEQUAL)
def test_onnx_answers_any_batch_of_any_steps(settings: dict[str, Any], missing: Missing) -> None:
    model, example = of_lengths(settings, missing)

    answer = answers(onnx(model, example, ["a", "b", "c"]))

    for count, steps in ((1, 1), (3, 5), (9, 30)):
        x, lengths = torch.randn(count, steps, 2), torch.randint(1, steps + 1, (count,))
        if missing != "refuse":
            x[0, steps // 2] = torch.nan
        torch.testing.assert_close(answer(x, lengths), model(x, lengths), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", UNEQUAL)
def test_the_program_takes_padded_sequences_and_their_lengths(settings: dict[str, Any]) -> None:
    model, example = of_lengths(settings, "forward")

    answer = export_program(model, example).module()

    rows = torch.tensor([3, 0, 1])
    torch.testing.assert_close(
        answer(example[0][rows], example[1][rows]), model(example[0][rows], example[1][rows])
    )


def test_numbers_come_in_the_units_of_the_data() -> None:
    targets = Targets(("a", "b", "c"), (10.0, 20.0, 30.0), (2.0, 3.0, 4.0))
    model, example = of_lengths(UNEQUAL[0], "refuse", targets)

    restored = model(*example)

    plain = model.network(model.prepare(example[0]), example[1])
    wanted = plain * torch.tensor([2.0, 3.0, 4.0]) + torch.tensor([10.0, 20.0, 30.0])
    torch.testing.assert_close(restored, wanted)
    torch.testing.assert_close(answers(onnx(model, example, targets.names))(*example), wanted)


def test_an_export_that_answers_otherwise_is_refused() -> None:
    model, example = of_lengths(UNEQUAL[0], "refuse")

    with pytest.raises(ExportError, match=r"at batch size 1 the outputs of it are .* apart"):
        compare(model, lambda *given: model(*given) + 1, example, "it")


def test_numbers_are_compared_in_parts_of_their_own_spread() -> None:
    targets = Targets(("a", "b", "c"), (0.0, 0.0, 0.0), (1.0, 1e4, 1.0))
    model, example = of_lengths(UNEQUAL[0], "refuse", targets)

    def off(*by: float) -> Callable[..., Tensor]:
        return lambda *given: model(*given) + torch.tensor(by)

    compare(model, off(0.0, 0.05, 0.0), example, "it")
    with pytest.raises(ExportError, match="apart"):
        compare(model, off(0.05, 0.0, 0.0), example, "it")


def test_onnx_names_its_outputs() -> None:
    model, example = of_lengths(UNEQUAL[0], "refuse")

    found = load_model_from_string(onnx(model, example, ["müde", "wach", "2"]))

    props = {one.key: json.loads(one.value) for one in found.metadata_props}
    assert props == {"outputs.json": ["müde", "wach", "2"]}
