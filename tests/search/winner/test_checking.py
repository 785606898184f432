"""Exports are asked by the script that goes with them, as strangers will."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from search.database.result import Candidate, Result
from search.document.spec import JobSpec, parse_job
from search.winner.checking import longer, strangers, write
from search.winner.comparing import compare
from search.winner.fetching import is_whole, offered
from search.winner.models import load_saved, save_champion
from search.winner.packaging import strangers_to
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
    with strangers_to(data) as asked:
        save_champion(found, spec, "tiny-0001", data, place, answers, asked)
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
    if data.shape.varies:
        x, lengths = example
        write(tmp_path / "seven.npz", (torch.cat((x, x), 1), lengths + x.shape[1]))
        for more, code in ([], 0), (["--with", "torch"], 1):
            done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
        assert f"lengths: must be at most {x.shape[1]} with torch" in done.stderr


def test_an_export_that_answers_otherwise_or_not_at_all_is_found(tmp_path: Path) -> None:
    folder, data = champion(tmp_path, "digits")
    saved = load_saved(folder)
    example: Example = example_of(data.test, data.shape, 5)
    needed = ("model.pt2", "model.onnx", "config.json", "predict.py")
    contents = {name: folder.read(name) for name in needed}
    with strangers(example) as asked:
        apart, wrong = asked.differences(contents | {"model.onnx": b"x"}, saved.model)
    assert list(apart) == ["model.pt2"]
    assert apart["model.pt2"] < 1e-5
    assert re.match("in a process of its own it fails: ", wrong["model.onnx"])
    with torch.no_grad():
        saved.model.network.linear.bias.add_(torch.arange(10.0))
    with strangers(example) as asked:
        apart, wrong = asked.differences(contents, saved.model)
    assert apart == {}
    assert re.match(r"in a process of its own it answers 0\.\d+ apart", wrong["model.pt2"])


def test_of_unequal_lengths_onnx_is_asked_of_longer_ones_too() -> None:
    x, lengths = torch.ones(2, 3, 1), torch.tensor([3, 2])
    ((twice, long),) = longer((x, lengths))
    assert (twice.shape, long.tolist()) == ((2, 6, 1), [6, 5])
    assert longer((x,)) == []


def test_an_export_that_fails_is_not_offered_and_the_card_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("no such operator\nat line 5")

    monkeypatch.setattr("search.winner.packaging.pt2", broken)
    folder, data = champion(tmp_path, "digits")
    assert is_whole(folder)
    assert "model.pt2" not in offered(folder)
    card = folder.read("README.md").decode()
    assert "`model.pt2` is not offered: no such operator." in card
    code = card.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.split()) == 3
    asked = [sys.executable, "predict.py", "x.npz"]
    write(folder.path / "x.npz", example_of(data.test, data.shape, 2))
    subprocess.run(asked, cwd=folder.path, check=True)

    monkeypatch.setattr("search.winner.packaging.onnx", broken)
    with pytest.raises(
        ExportError, match=r"no export answers .*model.pt2: no such operator; model"
    ):
        champion(tmp_path / "again", "digits")
