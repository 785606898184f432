import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from tests.trainables.conftest import small
from trainables.cells import RecurrentNetwork
from trainables.datasets import SequenceDataset
from trainables.export import (
    ExportedNetwork,
    build_model,
    example_of,
    export_program,
    pt2,
    weights_file,
)

LOAD = """
import json, sys
import numpy as np, torch
answer = torch.export.load("model.pt2").module()
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
    (tmp_path / "model.pt2").write_bytes(pt2(export_program(model, (raw(mnist_5k, 4),))))
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
