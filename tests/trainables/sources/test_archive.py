import re
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.sources.written import NO_UTF8, archive, example
from trainables.faults import DatasetError
from trainables.sequences import Sequences
from trainables.sources.archive import read

HEAD = "@problemName t\n@univariate false\n@equalLength true\n@classLabel true Run Walk\n@data\n"
GOOD = HEAD + "1,2:3,4:Run\n5,6:7,8:Walk\n"


def of(folder: Path, text: str | bytes) -> Sequences:
    path = folder / "t.ts"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


NO_LABELS = (
    "t.ts: must have labels (@classlabel true and the names of the classes, or @targetlabel true)"
)

FINITE = "must be finite and at most 3.4e38 in size"

BROKEN: dict[str, tuple[str | bytes, str]] = {
    "no data": (
        "@problemName t\n",
        "t.ts: must have a line @data, after which the sequences come",
    ),
    "something else": (
        "<html>",
        "t.ts: must have a line @data, after which the sequences come",
    ),
    "no sequences": (HEAD, "t.ts: must have sequences after @data, but has none"),
    "no UTF-8": (
        GOOD.encode("utf-16"),
        f"t.ts, line 1: must be UTF-8 text, but holds byte 0xff{NO_UTF8}",
    ),
    "labels denied": (GOOD.replace("true Run Walk", "false"), NO_LABELS),
    "labels without names": (GOOD.replace("true Run Walk", "true"), NO_LABELS),
    "labels not spoken of": (GOOD.replace("@classLabel", "#"), NO_LABELS),
    "no label": (
        GOOD.replace(":Walk", ":"),
        "t.ts, line 7: must be values, a colon and a label",
    ),
    "another label": (
        GOOD.replace(":Walk", ":Swim"),
        "t.ts, line 7: must end in a class of @classlabel, Run, Walk, but ends in 'Swim'",
    ),
    "values where a label belongs": (
        GOOD.replace(":Walk", ":" + "9," * 60),
        (
            "t.ts, line 7: must end in a class of @classlabel, Run, Walk, but ends in "
            f"'{'9,' * 39}9…'"
        ),
    ),
    "no colon": (GOOD + "9\n", "t.ts, line 8: must be values, a colon and a label"),
    "an empty line": (
        GOOD.replace("5,6", "\n5,6"),
        "t.ts, line 7: must be values, a colon and a label",
    ),
    "a comment among the data": (
        GOOD + "# done\n",
        "t.ts, line 8: must be values, a colon and a label",
    ),
    "a word": (
        GOOD.replace("7,8", "7,high"),
        (
            "t.ts, line 7, feature 2, step 2: must be a number, or ? where it is missing, but got "
            "'high'"
        ),
    ),
    "no value": (
        GOOD.replace("1,2", "1,"),
        "t.ts, line 6, feature 1, step 2: must be a number, or ? where it is missing, but got ''",
    ),
    "times": (
        GOOD.replace("@data", "@timestamps true\n@data"),
        "t.ts: must have values alone, but says @timestamps true",
    ),
    "a feature too few": (
        GOOD.replace("5,6:7,8", "5,6"),
        "t.ts, line 7: must have 2 features as the first sequence has, but has 1",
    ),
    "features of unequal lengths": (
        GOOD.replace("7,8", "7,8,9"),
        "t.ts, line 7, feature 2: must have 2 steps as feature 1 has, but has 3",
    ),
    "a word as target": (
        GOOD.replace("@classLabel true Run Walk", "@targetLabel true"),
        "t.ts, line 6: must end in a finite number, its label, but got 'Run'",
    ),
    "no number as target": (
        GOOD.replace("@classLabel true Run Walk", "@targetLabel true").replace("Run", "nan"),
        "t.ts, line 6: must end in a finite number, its label, but got 'nan'",
    ),
    "too large": (
        GOOD.replace("7,8", "7,1e40"),
        f"t.ts, sequence 2, step 2, feature 1: {FINITE}, but got 1e+40",
    ),
    "infinite": (
        GOOD.replace("1,2", "-inf,2"),
        f"t.ts, sequence 1, step 1, feature 0: {FINITE}, but got -inf",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_text(case: str, tmp_path: Path) -> None:
    text, message = BROKEN[case]

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        of(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("5,6:7,8", "5,6,7:8,9,10"),
        GOOD.replace("univariate false", "univariate true"),
        GOOD.replace("@equalLength true", "@equalLength"),
    ],
)
def test_text_that_does_not_hold_what_it_says(text: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^t\.ts: must be a \.ts file of the .*, but \S+"):
        of(tmp_path, text)


def test_a_good_file(tmp_path: Path) -> None:
    found = of(tmp_path, GOOD.replace("7,8", "?,NaN"))

    np.testing.assert_array_equal(found.x, [[1, 3], [2, 4], [5, np.nan], [6, np.nan]])
    assert found.x.dtype == np.float32
    assert found.lengths.tolist() == [2, 2]
    assert found.features == ("0", "1")


@pytest.mark.parametrize(
    ("head", "labels", "read_as"),
    [
        ("@classLabel\ttrue Run Walk", ("Run", "Walk"), ["Run", "Walk"]),
        (" @CLASSLABEL  TRUE Run Walk", ("run", "WALK"), ["Run", "Walk"]),
        ("@classLabel true 1 2", ("1.0", "2"), ["1", "2"]),
        ("@classLabel true Run run", ("run", "Run"), ["run", "Run"]),
        ("@classLabel true Run Not walk", ("Run", "Not walk"), ["Run", "Not walk"]),
    ],
)
def test_labels_are_called_as_the_head_calls_them(
    head: str, labels: tuple[str, str], read_as: list[str], tmp_path: Path
) -> None:
    text = GOOD.replace("@classLabel true Run Walk", head)
    text = text.replace(":Run", f":{labels[0]}").replace(":Walk", f":{labels[1]}")

    assert of(tmp_path, text).labels.tolist() == read_as


def test_labels_keep_their_case_and_what_aeon_takes_for_missing(tmp_path: Path) -> None:
    text = GOOD.replace("Run", "Banana?").replace("Walk", "banana?")

    assert of(tmp_path, text).labels.tolist() == ["Banana?", "banana?"]


def test_targets_are_numbers(tmp_path: Path) -> None:
    text = GOOD.replace("@classLabel true Run Walk", "@targetLabel true")

    found = of(tmp_path, text.replace("Run", "1.5").replace("Walk", "-2e3"))

    assert found.labels.tolist() == [1.5, -2000]


def test_unequal_lengths(tmp_path: Path) -> None:
    made = example(varies=True)
    archive(tmp_path / "t.ts", made)

    found = read(tmp_path / "t.ts")

    assert found.lengths.tolist() == made.lengths
    np.testing.assert_array_equal(found.x, np.concatenate(made.sequences))
