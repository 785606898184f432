"""One training of a table is searched, and all others say what was found."""

from pathlib import Path

import pytest

from benchmarks.curves import Curve, Curves
from benchmarks.replay import Table
from trainables.config import Parameters

NETWORK: Parameters = {"cell": "lstm", "hidden_size": 32, "layers": 1, "learning_rate": 0.01}


def curve(number: int, accuracy: float) -> Curve:
    return Curve(number, NETWORK, [0.1, accuracy], [1.0, 1.0], [1.0, 1.0], "float32")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    of_seeds = {"trial": (0.5, 0.9), "again": (0.6, 0.7), "again 2": (0.8, 0.5)}
    trainings = {
        seeds: {"digits": [curve(number, one) for number, one in enumerate(accuracies)]}
        for seeds, accuracies in of_seeds.items()
    }
    Curves({}, trainings).write(tmp_path / "table.gz")
    return tmp_path / "table.gz"


@pytest.mark.parametrize(
    ("at", "seen", "others"),
    [(0, (0.5, 0.9), (0.7, 0.6)), (1, (0.6, 0.7), (0.65, 0.7)), (2, (0.8, 0.5), (0.55, 0.8))],
)
def test_what_a_search_sees_does_not_judge_it(
    path: Path, at: int, seen: tuple[float, ...], others: tuple[float, ...]
) -> None:
    table = Table(path, "digits", at)

    assert table.seen == pytest.approx(seen)
    assert table.others == pytest.approx(others)
    assert table.mean == pytest.approx([1.9 / 3, 0.7])


def test_what_a_configuration_is_worth_does_not_depend_on_what_a_search_sees(path: Path) -> None:
    before = Table(path, "digits").worth
    table = Curves.read(path)
    table.trainings["trial"]["digits"] = [curve(number, 0.2) for number in (0, 1)]
    table.write(path)

    assert Table(path, "digits").worth == pytest.approx(before)


def test_a_table_of_which_a_training_is_not_complete_is_refused(path: Path) -> None:
    table = Curves.read(path)
    del table.trainings["again"]["digits"][1]
    table.write(path)

    with pytest.raises(SystemExit, match=r"table\.gz is not complete"):
        Table(path, "digits")


def test_one_training_alone_judges_nothing(path: Path) -> None:
    table = Curves.read(path)
    table.trainings = {"trial": table.trainings["trial"]}
    table.write(path)

    with pytest.raises(SystemExit, match=r"table\.gz is not complete"):
        Table(path, "digits")
