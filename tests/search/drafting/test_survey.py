"""What is found in a file that nobody has described."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from search.commands.survey_screen import bar, survey_page
from search.document.sections import Data
from search.drafting.survey import POINTS, Survey, survey
from trainables.faults import DatasetError


def look(path: Path, **settings: object) -> Survey:
    return survey(path, Data(source=str(path), **settings))  # type: ignore[arg-type]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def table(path: Path, labels: list[str]) -> Path:
    """Write a table of sequences of three steps with the given labels."""
    rows = [f"{n},{n + step},{label}" for n, label in enumerate(labels) for step in range(3)]
    return write(path, "id,speed,label", *rows)


def test_a_table(tmp_path: Path) -> None:
    rows = ["1,0,0.5,a", "1,1,,a", "2,0,1.5,b", "3,0,2.5,a", "3,1,3.5,a", "3,2,4.5,a"]
    found = look(write(tmp_path / "walks.csv", "id,t,speed,label", *rows))
    assert found.files == ("walks.csv",)
    assert found.read_as == "a row a step: sequence id, ordered by t, label label, features speed"
    assert (found.task, found.train, found.test) == ("classification", 3, None)
    assert (found.features, found.lengths) == (("speed",), (1, 2.0, 3))
    assert (found.missing, found.values) == (1, 6)
    assert found.classes == {"a": 2, "b": 1}
    assert [one.label for one in found.pictures] == ["a", "b"]
    assert found.pictures[0].values == [0.0, None]
    assert found.pictures[1].values == [1.0]


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["x", "y", "x", "y"], "classification"),
        (["0", "1", "2", "0"], "classification"),
        (["0.5", "1", "2", "0"], "regression"),
        ([str(n) for n in range(60)], "regression"),
        ([str(n % 50) for n in range(60)], "regression"),
        ([str(n % 50) for n in range(100)], "classification"),
        ([str(n) for n in range(20)], "classification"),
    ],
)
def test_the_task_is_guessed_by_the_labels(tmp_path: Path, labels: list[str], task: str) -> None:
    found = look(table(tmp_path / "t.csv", labels))
    assert found.task == task
    assert bool(found.targets) == (task == "regression") != bool(found.classes)


def test_numbers_have_a_range(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros((4, 200, 1)), y=np.array([0.5, 1.0, 2.0, 2.5]))
    found = look(tmp_path / "t.npz")
    assert found.targets == {"y": (0.5, 1.5, 2.5)}
    assert [one.label for one in found.pictures] == ["0.5", "1", "2", "2.5"]
    assert {len(one.values) for one in found.pictures} == {POINTS}


def test_a_column_that_cannot_be_guessed_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "speed_0,speed_1,kind", "1,2,a", "3,4,b")
    with pytest.raises(DatasetError, match=r"data\.label: must name the column of t\.csv"):
        look(path)
    assert look(path, label="kind").classes == {"a": 1, "b": 1}


def test_more_labels_than_any_task_has(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must have at most 1000 classes, but 1001 sequences"):
        look(table(tmp_path / "t.csv", [f"name {n}" for n in range(1001)]))


def test_a_feature_that_is_no_measurement_is_said(tmp_path: Path) -> None:
    rows = [f"{n // 2},{n // 3},{n % 5},{'ab'[n % 2]}" for n in range(12)]
    found = look(write(tmp_path / "t.csv", "Unnamed: 0,Subject,speed,label", *rows))
    numbers, group = found.notes
    assert numbers.startswith("Unnamed: 0 is learned from, though it seems to number the rows")
    assert group.startswith("Subject is learned from; --set data.group=Subject")


def test_brackets_of_the_data_are_shown(tmp_path: Path) -> None:
    rows = [f"{n},{n + step},[{'ab'[n % 2]}]" for n in range(6) for step in range(3)]
    console = Console(width=80, highlight=False)
    with console.capture() as said:
        survey_page(console, look(write(tmp_path / "[k].csv", "id,rate [/min],label", *rows)))
    text = " ".join(said.get().split())
    assert "[k].csv" in text
    assert "1: rate [/min]" in text
    assert "feature rate [/min]" in text
    assert "[a] 3" in text


def test_the_page(tmp_path: Path) -> None:
    console = Console(width=80, highlight=False)
    with console.capture() as said:
        survey_page(console, look(table(tmp_path / "t.csv", ["a"] * 3 + ["b"])))
        survey_page(console, look(table(tmp_path / "n.csv", ["0.5", "1.5"])))
        survey_page(console, look(table(tmp_path / "m.csv", [f"k{n % 20}" for n in range(60)])))
    text = " ".join(said.get().split())
    assert "sequences 4 steps 3 features 1: speed missing none" in text
    assert "2 classes a 3 ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ b 1 ▇▇▇▇▇▇▇▇" in text
    assert "target label 0.5000 to 1.5000, mean 1.0000" in text
    assert "and 8 more, the smallest of 3" in text
    assert [bar(value) for value in (None, 0.0, 0.5, 1.0)] == [" ", "▁", "▅", "█"]
