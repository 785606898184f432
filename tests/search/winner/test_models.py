"""The champion's files, as people and strangers' programs read them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from search.database.result import Candidate, Result
from search.winner.comparing import compare
from search.winner.fetching import FILES, is_whole
from search.winner.models import best_weights, load_saved, save_champion
from search.winner.packaging import strangers_to
from tests.search.conftest import make_spec
from trainables.cells import RecurrentNetwork
from trainables.checkpoint import Checkpoints
from trainables.config import Parameters
from trainables.datasets import SequenceDataset
from trainables.export import answers as answers_of
from trainables.folder import DamagedError, LocalFolder

SPEC = make_spec()
PARAMETERS: Parameters = {"cell": "lstm", "hidden_size": 8, "learning_rate": 0.01}
RESULT = Result(
    metric="val_accuracy", direction="maximize", study="tiny-0001/confirm", confirmed=True,
    chosen=Candidate(
        of=2, parameters=PARAMETERS, baseline=False, runs=(0, 1), validation=(0.90, 0.92)
    ),
    baselines=(),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, digits: SequenceDataset) -> LocalFolder:
    for run in RESULT.chosen.runs:
        torch.manual_seed(run)
        network = RecurrentNetwork(SPEC.config(PARAMETERS), digits.shape)
        place = Checkpoints(LocalFolder(tmp_path / "confirm" / f"{run:06d}"))
        place.write_best(network.state_dict(), epoch=1, value=0.9)
    return LocalFolder(tmp_path)


def test_the_folder_holds_one_model_in_three_forms(
    folder: LocalFolder, digits: SequenceDataset
) -> None:
    found, answers = compare(RESULT, SPEC, digits, folder)
    for _ in range(2):
        with strangers_to(digits) as asked:
            save_champion(found, SPEC, "tiny-0001", digits, folder, answers, asked)
    champion = folder.child("champion")
    assert champion.names() == sorted(FILES)
    x = torch.from_numpy(digits.test.x[:7].astype(np.float32))
    program = torch.export.load(champion.path / "model.pt2").module()
    saved = load_saved(champion)
    model, (example,) = saved.model, saved.example()
    torch.testing.assert_close(program(x), model(x))
    assert example.shape == (4, 8, 8)
    assert 0 <= float(example.min()) <= float(example.max()) <= 16
    torch.testing.assert_close(answers_of(champion.read("model.onnx"))(x), model(x))
    told = json.loads(champion.read("metrics.json"))["model"]
    # The second seed is the better one on validation data, so its weights are the model.
    assert told["validation_accuracy"] == 0.92
    predicted = model(torch.from_numpy(digits.test.x.astype(np.float32))).argmax(1).numpy()
    assert told["test_accuracy"] == pytest.approx(float((predicted == digits.test.y).mean()))
    card = champion.read("README.md").decode()
    assert "An LSTM with 1 layer of 8 units that tells 10 classes apart" in card
    assert "best of 2 seeds on validation data" in card
    assert folder.interrupted() == []


def test_a_champion_that_was_being_written_is_none_until_it_is_written_again(
    folder: LocalFolder, digits: SequenceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, answers = compare(RESULT, SPEC, digits, folder)
    champion = folder.child("champion")
    with strangers_to(digits) as asked:
        save_champion(found, SPEC, "tiny-0001", digits, folder, answers, asked)
    write = LocalFolder.write

    def killed(self: LocalFolder, name: str, content: bytes) -> None:
        if name == "metrics.json":
            raise KeyboardInterrupt
        write(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", killed)
        with pytest.raises(KeyboardInterrupt), strangers_to(digits) as asked:
            save_champion(found, SPEC, "tiny-0001", digits, folder, answers, asked)
    assert champion.names() == sorted(FILES[: FILES.index("metrics.json")])
    assert not is_whole(champion)
    with strangers_to(digits) as asked:
        save_champion(found, SPEC, "tiny-0001", digits, folder, answers, asked)
    assert is_whole(champion)


def test_weights_of_a_trial_that_ended_early_come_from_its_last_checkpoint(
    folder: LocalFolder,
) -> None:
    place = Checkpoints(folder.child("confirm").child("000007"))
    place.write(3, {"trainer": {"best_weights": {"w": torch.ones(2)}}})
    assert best_weights(RESULT, folder, 7)["w"].tolist() == [1.0, 1.0]


def test_missing_weights_name_their_trial(folder: LocalFolder) -> None:
    with pytest.raises(DamagedError, match=r"weights of trial 9 are missing from .*000009"):
        best_weights(RESULT, folder, 9)
    Checkpoints(folder.child("confirm").child("000009")).write(3, {"trainer": None})
    with pytest.raises(DamagedError, match=r"weights of trial 9 are missing from .*000009"):
        best_weights(RESULT, folder, 9)
