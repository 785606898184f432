"""Exports are asked by the script that goes with them, as strangers will."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from search.checking import differences, write
from search.comparing import compare
from search.models import load_saved, save_champion
from search.result import Candidate, Result
from search.spec import JobSpec, parse_job
from trainables.cells import RecurrentNetwork
from trainables.checkpoint import Checkpoints
from trainables.config import Parameters
from trainables.datasets import SequenceDataset, load_dataset
from trainables.export import Example, ExportError, example_of
from trainables.folder import LocalFolder

PARAMETERS: Parameters = {"hidden_size": 8, "layers": 1, "head": "mean", "bidirectional": True}
DOCUMENT = "data: {source: digits}\nspace: {hidden_size: [8], layers: [1], head: [mean]}\n"


def champion(folder: Path, source: str) -> tuple[LocalFolder, SequenceDataset]:
    """Save an untrained champion for a data set."""
    data = load_dataset(source, validation=0.2, seed=0, data_dir=Path())
    spec: JobSpec = parse_job(DOCUMENT + "training: {bidirectional: true}")
    torch.manual_seed(0)
    network = RecurrentNetwork(spec.config({**PARAMETERS}), data.shape)
    place = LocalFolder(folder)
    best = Checkpoints(place.child("confirm").child("000000"))
    best.write_best(network.state_dict(), epoch=1, value=0.5)
    chosen = Candidate(of=0, parameters=PARAMETERS, baseline=False, runs=(0,), validation=(0.5,))
    found = Result(
        metric="val_accuracy", direction="maximize", study="s", confirmed=True, chosen=chosen,
        baselines=(),
    )  # fmt: skip
    found, answers = compare(found, spec, data, place)
    save_champion(found, spec, "tiny-0001", data, place, answers)
    return place.child("champion"), data


@pytest.mark.parametrize("source", ["digits", "japanese-vowels"])
def test_the_script_answers_as_the_model_does(source: str, tmp_path: Path) -> None:
    folder, data = champion(tmp_path, source)
    card = folder.read("README.md").decode()
    assert re.search(r"at the most: `model.pt2` by \d\S* and `model.onnx` by \d", card)
    model = load_saved(folder).model
    example = example_of(data.test, data.shape, 7)
    write(tmp_path / "seven.npz", example)
    command = [sys.executable, "-I", str(folder.path / "predict.py"), str(tmp_path / "seven.npz")]
    for more in ([], ["--with", "torch"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        rows = [line.split(",") for line in done.stdout.splitlines()]
        wanted = model(*example).softmax(1).detach().numpy()
        assert np.array([row[1:] for row in rows], float) == pytest.approx(wanted, abs=1e-5)
        names = json.loads(folder.read("config.json"))["classes"]
        assert [row[0] for row in rows] == [names[place] for place in wanted.argmax(1)]


def test_an_export_that_answers_otherwise_or_not_at_all_is_found(tmp_path: Path) -> None:
    folder, data = champion(tmp_path, "digits")
    saved = load_saved(folder)
    example: Example = example_of(data.test, data.shape, 5)
    contents = {name: folder.read(name) for name in folder.names()}
    assert max(differences(contents, saved.model, example).values()) < 1e-5
    with torch.no_grad():
        saved.model.network.linear.bias.add_(torch.arange(10.0))
    with pytest.raises(ExportError, match=r"in a process of its own model\.pt2 answers 0\.\d+ apa"):
        differences(contents, saved.model, example)
    with pytest.raises(ExportError, match=r"in a process of its own model\.onnx fails: "):
        differences(contents | {"model.onnx": b"x"}, load_saved(folder).model, example)
