"""Models are asked about files, labelled and not, and answer in the names that the labels had."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from typer.testing import CliRunner, Result

from search.commands.cli import app
from search.commands.prediction_screen import prediction_page
from search.common.home import Home
from search.database.result import Candidate
from search.database.result import Result as Found
from search.document.spec import parse_job
from search.jobs.loading import load_data
from search.winner.comparing import compare
from search.winner.models import save_champion
from search.winner.packaging import strangers_to
from search.winner.predicting import Predictions, known_columns, predict
from trainables.cells import RecurrentNetwork
from trainables.checkpoint import Checkpoints
from trainables.config import Parameters
from trainables.faults import DatasetError
from trainables.folder import LocalFolder
from trainables.sources.columns import Columns

DOCUMENT = """
data: {data}
task: {task}
space: {{hidden_size: [4], head: [last], layers: [1]}}
objective: {{metric: val_loss}}
"""
PARAMETERS: Parameters = {"hidden_size": 4, "head": "last", "layers": 1}


def table(path: Path, count: int, *, labels: str = "", start: int = 0) -> Path:
    """Write walks of three to six steps, from the last to the first."""
    rng = np.random.default_rng(start)
    rows = [
        {
            "walk": f"w{n}",
            "t": step,
            "speed": float(rng.normal(n % 2)),
            "turn": float(rng.normal()),
        }
        | ({"kind": ("slow", "fast")[n % 2], "length_m": n / 7} if labels else {})
        for n in reversed(range(count))
        for step in range(3 + n % 4)
    ]
    frame = pd.DataFrame(rows)
    frame.drop(columns=[c for c in ("kind", "length_m") if c in frame and c != labels]).to_csv(
        path, index=False
    )
    return path


def model(home: Home, file: Path, label: str | None) -> Path:
    """Return the folder of an untrained model of a file."""
    task = "regression" if label == "length_m" else "classification"
    columns = f", label: {label}, sequence: walk" if label else ""
    spec = parse_job(DOCUMENT.format(data=f"{{source: {file}{columns}}}", task=task))
    data = load_data(spec, home)
    torch.manual_seed(0)
    network = RecurrentNetwork(spec.config(PARAMETERS), data.shape)
    place = LocalFolder(file.parent / "job")
    best = Checkpoints(place.child("confirm").child("000000"))
    best.write_best(network.state_dict(), epoch=1, value=0.5)
    found = Found(
        metric="val_loss", direction="minimize", study="s", confirmed=True, baselines=(),
        chosen=Candidate(
            of=0, parameters=PARAMETERS, baseline=False, runs=(0,), validation=(0.5,)
        ),
    )  # fmt: skip
    found, answers = compare(found, spec, data, place)
    with strangers_to(data) as asked:
        save_champion(found, spec, "tiny-0001", data, place, answers, asked)
    return file.parent / "job" / "champion"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that tells fast walks from slow ones; it takes most of the time."""
    return of_walks(tmp_path_factory.mktemp("kinds"), "kind")


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that tells how long walks are."""
    return of_walks(tmp_path_factory.mktemp("lengths"), "length_m")


def of_walks(folder: Path, label: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATETUNE_HOME", str(folder))
        walks = table(folder / "walks.csv", 40, labels=label)
        return model(Home.from_environment(), walks, label)


def padded(file: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return a table's sequences [sequences, steps, features], and their lengths."""
    frame = pd.read_csv(file).sort_values("t", kind="stable")
    walks = [frame[frame["walk"] == name] for name in frame["walk"].drop_duplicates()]
    walks.sort(key=lambda walk: -int(walk["walk"].iloc[0][1:]))
    x = np.zeros((len(walks), max(map(len, walks)), 2), np.float32)
    for at, walk in enumerate(walks):
        x[at, : len(walk)] = walk[["speed", "turn"]]
    return x, np.array([len(walk) for walk in walks])


def test_a_file_without_labels_is_answered_in_its_own_names(
    tmp_path: Path, installation: Home, kinds: Path
) -> None:
    found = predict(installation, str(kinds), table(tmp_path / "new.csv", 9, start=1), Columns())
    assert found.sequences == [f"w{n}" for n in reversed(range(9))]
    assert found.outputs == ("fast", "slow")
    assert found.values.sum(1) == pytest.approx(np.ones(9))
    assert set(found.answers) <= {"fast", "slow"}
    assert found.scores is None


def test_answers_are_those_of_the_exported_program(
    tmp_path: Path, installation: Home, kinds: Path
) -> None:
    learned = table(tmp_path / "walks.csv", 40, labels="kind")
    found = predict(installation, str(kinds), learned, Columns())
    x, lengths = (torch.from_numpy(one) for one in padded(learned))
    program = torch.export.load(kinds / "model.pt2").module()
    wanted = program(x, lengths).softmax(1).detach().numpy()
    assert found.values == pytest.approx(wanted, abs=1e-5)
    assert found.scores is not None
    right = np.mean([a == b for a, b in zip(found.answers, ["fast", "slow"] * 20, strict=True)])
    assert found.scores["accuracy"] == pytest.approx(right)


def test_numbers_are_answered_in_their_own_units(
    tmp_path: Path, installation: Home, lengths: Path
) -> None:
    learned = table(tmp_path / "walks.csv", 40, labels="length_m")
    found = predict(installation, str(lengths), learned, Columns())
    assert found.outputs == ("length_m",)
    wanted = np.array([n / 7 for n in reversed(range(40))])
    assert found.scores is not None
    assert found.scores["mae"] == pytest.approx(float(np.abs(found.values[:, 0] - wanted).mean()))
    assert list(found.table().column_names) == ["sequence", "length_m"]


def test_a_target_called_sequence_leaves_the_names_as_they_are() -> None:
    values = np.array([[0.5, 1.5]])
    found = Predictions(["w0"], ("sequence", "speed"), values, is_classes=False, scores=None)
    assert found.table().to_pylist() == [
        {"sequence": "w0", "predicted_sequence": 0.5, "speed": 1.5}
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_predictions_are_written_in_every_form(
    suffix: str, tmp_path: Path, installation: Home, kinds: Path
) -> None:
    found = predict(installation, str(kinds), table(tmp_path / "new.csv", 9), Columns())
    found.write(tmp_path / f"out{suffix}")
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix]
    again = read(tmp_path / f"out{suffix}")
    assert list(again.columns) == ["sequence", "prediction", "p_fast", "p_slow"]
    assert again["sequence"].tolist() == found.sequences
    assert again["p_slow"].to_numpy() == pytest.approx(found.values[:, 1])


def test_what_has_columns_may_be_asked_as_arrays(
    tmp_path: Path, installation: Home, kinds: Path
) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 10, 2)))
    found = predict(installation, str(kinds), tmp_path / "new.npz", Columns())
    assert found.sequences == [1, 2, 3]


def test_more_numbers_than_the_model_predicts(
    tmp_path: Path, installation: Home, lengths: Path
) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 10, 2)), y=np.ones((3, 2)))
    assert faulty(installation, lengths, tmp_path / "new.npz") == (
        "label: must be the 1 numbers that the model predicts, length_m, or none, but the file has "
        "y0, y1"
    )


def test_columns_of_the_split_are_not_asked_for() -> None:
    learned = Columns(label=("kind",), sequence="walk", group="patient")
    found = known_columns(Path("new.csv"), learned, Columns(step="t"))
    assert found == Columns(label=("kind",), sequence="walk", step="t")
    assert known_columns(Path("new.npz"), learned, Columns()) == Columns()


def faulty(installation: Home, saved: Path, file: Path) -> str:
    with pytest.raises((DatasetError, OSError, RuntimeError, ValueError)) as fault:
        predict(installation, str(saved), file, Columns())
    return str(fault.value)


def test_files_that_are_not_what_was_learned(
    tmp_path: Path, installation: Home, kinds: Path
) -> None:
    new = table(tmp_path / "new.csv", 9)
    frame = pd.read_csv(new)
    frame.drop(columns="turn").to_csv(new, index=False)
    message = "data.features.1: must be a column of new.csv, but got 'turn'"
    assert message in faulty(installation, kinds, new)
    frame.assign(speed=frame["speed"].where(frame.index != 4)).to_csv(new, index=False)
    assert faulty(installation, kinds, new) == (
        "new.csv, sequence 2, step 2, feature speed: must have a value, since the model was made "
        "of data without gaps"
    )
    frame.assign(kind="crawl").to_csv(new, index=False)
    assert faulty(installation, kinds, new) == (
        "label kind: must be one of the model's classes, fast, slow, but the file has crawl"
    )
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 10, 2)), y=np.eye(2))
    assert "must be one value a sequence, but is a column for each class" in faulty(
        installation, kinds, tmp_path / "new.npz"
    )
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 10, 5)))
    assert "new.npz: must have the 2 features that the model has learned, but has 5" in faulty(
        installation, kinds, tmp_path / "new.npz"
    )


def test_sequences_of_another_length(tmp_path: Path, installation: Home) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6, 2))
    np.savez(tmp_path / "walks.npz", x=x, y=np.arange(40) % 2)
    saved = model(installation, tmp_path / "walks.npz", None)
    np.savez(tmp_path / "new.npz", x=np.zeros((3, 7, 2)))
    assert faulty(installation, saved, tmp_path / "new.npz") == (
        "new.npz, sequence 1: must have 6 steps as what the model has learned, but has 7"
    )


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_brackets_of_the_data_are_shown(tmp_path: Path) -> None:
    values = np.array([[0.25, 0.75]])
    found = Predictions(["[b]"], ("[/a]", "[m/s]"), values, is_classes=True, scores=None)
    # No line is broken, however long the folder's name is.
    console = Console(width=80 + len(str(tmp_path)), highlight=False)
    with console.capture() as said:
        prediction_page(console, found, tmp_path / "[out].csv")
    text = " ".join(said.get().split())
    assert "sequence prediction p_[/a] p_[m/s] [b] [m/s] 0.2500 0.7500" in text
    assert "1 sequences: [m/s] 1" in text
    assert "[out].csv is written" in text


def test_where_lines_are_narrow_the_surest_class_is_shown() -> None:
    names = tuple("0123456789")
    values = np.full((1, 10), 0.01)
    values[0, 7] = 0.91
    found = Predictions([1], names, values, is_classes=True, scores=None)
    console = Console(width=80, highlight=False)
    with console.capture() as said:
        prediction_page(console, found, None)
    text = " ".join(said.get().split())
    assert text.startswith("sequence prediction probability 1 7 0.9100")


def test_the_command(tmp_path: Path, installation: Home, kinds: Path) -> None:
    learned = table(tmp_path / "walks.csv", 40, labels="kind")
    shown = call(kinds, learned, "--to", tmp_path / "out.csv")
    assert shown.exit_code == 0
    assert "and 20 more" in shown.output
    assert "by the labels of the file: loss" in shown.output
    assert (tmp_path / "out.csv").exists()
    told = json.loads(call(kinds, learned, "--json").output)
    assert (len(told["predictions"]), set(told["predictions"][0])) == (
        40, {"sequence", "prediction", "p_fast", "p_slow"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model_at", "options", "message"),
    [
        (
            "nowhere",
            (),
            "MODEL must be a folder that `gatetune fetch` wrote, or a job, but",
        ),
        ("empty", (), "MODEL must be a folder that `gatetune fetch` wrote, or a job, but"),
        ("damaged", (), "must hold a model as `gatetune fetch` writes it, but"),
        ("good", ("--to", "x.txt"), "--to must end in .csv, .parquet, .json, but got x.txt"),
        ("empty", (), "empty has no config.json, and "),
        (
            "half",
            (),
            "weights.safetensors is missing; what was fetched with --format onnx or pt2",
        ),
        ("good", ("--set", "data.missing=zero"), "must name a column, with data.label, data.seq"),
        ("good", ("--set", "task=regression"), "--set task=regression: must name a column"),
        ("good", ("--set", "data.lable=x"), "data.lable: unknown key; did you mean label?"),
    ],
)
def test_one_message_for_what_cannot_be_asked(
    model_at: str,
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    installation: Home,
    kinds: Path,
) -> None:
    learned = table(tmp_path / "walks.csv", 40, labels="kind")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    shutil.copy(kinds / "config.json", tmp_path / "half")
    (tmp_path / "damaged" / "config.json").write_bytes((kinds / "config.json").read_bytes()[:100])
    asked = {"good": kinds}.get(model_at, tmp_path / model_at)
    found = call(asked, learned, *options)
    assert found.exit_code == 2
    assert message in found.output
