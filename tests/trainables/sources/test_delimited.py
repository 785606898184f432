"""Tables in delimited text: what is said of those that are broken, and what they take."""

import re
from pathlib import Path

import pytest

from tests.trainables.sources.written import LONG, NO_UTF8, of_csv
from trainables.faults import DatasetError
from trainables.sources.delimited import in_memory

BROKEN_TEXT: dict[str, tuple[str | bytes, str]] = {
    "no line": (b"\n", "t.csv, line 1: must name the columns, but is empty"),
    "blanks alone": (b"   \n\n", "t.csv, line 1: must name the columns, but is empty"),
    "a line for Excel": (
        "sep=;\nsequence;x;label\na;1;y\n",
        (
            "t.csv, line 1: must name the columns, but tells Excel what sets them apart; without "
            "that line they are found as they are"
        ),
    ),
    "a head alone": (b"sequence,step,x,label\n", "t.csv: must have rows, but has none"),
    "a head without an end": (b"sequence,x,label", "t.csv: must have rows, but has one line only"),
    "no head": (
        b"1,2,3\n4,5,6\n",
        "t.csv, line 1: must name the columns, but holds numbers alone: 1,2,3",
    ),
    "no UTF-8 in the head": (
        "größe,label\n1,a\n".encode("latin-1"),
        f"t.csv, line 1: must be UTF-8 text, but holds byte 0xf6{NO_UTF8}",
    ),
    "UTF-16": (
        LONG.encode("utf-16"),
        f"t.csv, line 1: must be UTF-8 text, but holds byte 0xff{NO_UTF8}",
    ),
    "no UTF-8 in a label": (
        LONG.replace(",y", ",gr\xfcn").encode("latin-1"),
        f"t.csv, line 4: must be UTF-8 text, but holds byte 0xfc{NO_UTF8}",
    ),
    "no UTF-8 in a feature": (
        LONG.replace("3,y", "\xfc,y").encode("latin-1"),
        f"t.csv, line 4: must be UTF-8 text, but holds byte 0xfc{NO_UTF8}",
    ),
    "a row too long": (
        LONG + "c,0,5,x,1\n",
        "t.csv, row 5: must have 4 values as the first line has, but has 5",
    ),
    "a row too short": (
        LONG.replace("b,0,3,y", "b,0"),
        "t.csv, row 3: must have 4 values as the first line has, but has 2",
    ),
    "a name twice": (
        LONG.replace("speed", "label"),
        "t.csv, column 4: must have a name of its own, but is called label as another",
    ),
    "no name": (LONG.replace("speed", ""), "t.csv, column 3: must have a name, but has none"),
    "a word": (
        LONG.replace("3", "fast"),
        (
            "t.csv, row 3, column speed: must be a number, but is the text 'fast'"
            "; data.features names what is learned from"
        ),
    ),
    "a decimal comma": (
        LONG.replace(",", ";").replace("3", "3,5"),
        (
            "t.csv, row 3, column speed: must be a number, but is the text '3,5'"
            "; decimals are set apart by a dot"
        ),
    ),
    "a time as a feature": (
        "id,x,label\n1,2020-01-01,a\n1,2020-01-02,a\n2,2020-01-02,b\n",
        "t.csv, column x: must hold numbers, but holds date32[day]",
    ),
    "who it was": (
        "sequence,step,person,speed,label\na,0,ann,1,x\na,1,ann,2,x\n",
        (
            "t.csv, row 1, column person: must be a number, but is the text 'ann'; "
            "data.group=person keeps the sequences of one in the same part"
        ),
    ),
    "infinite": (
        LONG.replace("3", "-inf"),
        "t.csv, row 3, column speed: must be finite and at most 3.4e38 in size, but got -inf",
    ),
    "too large": (
        LONG.replace("3", "1e39"),
        "t.csv, row 3, column speed: must be finite and at most 3.4e38 in size, but got 1e+39",
    ),
    "no label in a row": (
        LONG.replace("3,y", "3,"),
        "t.csv, row 3, column label: must have a value, but it is empty",
    ),
    "no sequence in a row": (
        LONG.replace("b,0", ",0"),
        "t.csv, row 3, column sequence: must have a value, but it is empty",
    ),
    "no step in a row": (
        LONG.replace("b,1", "b,"),
        "t.csv, row 4, column step: must have a value, but it is empty",
    ),
    "a word as step": (
        LONG.replace("b,1", "b,last"),
        (
            "t.csv, row 4, column step: must be a number, or a time such as 2024-03-01 09:30:00, "
            "but got last"
        ),
    ),
    "a step twice": (
        LONG.replace("b,1", "b,0"),
        "t.csv, row 4, column step: must differ in a sequence, but is the same as in row 3",
    ),
    "two labels in a sequence": (
        LONG.replace("4,y", "4,x"),
        (
            "t.csv, row 4, column label: must be the same in all rows of a sequence, but is 'x' "
            "here and 'y' in row 3"
        ),
    ),
    "labels alone": (
        "sequence,step,label\na,0,x\na,1,x\n",
        "data.features: t.csv must have columns to learn from, but has sequence, step, label alone",
    ),
    "no label": (
        "sequence,step,speed\na,0,1\na,1,1\n",
        (
            "data.label: must name the column of t.csv that is to be learned, since none is called "
            "label, labels, class, target, y; it has sequence, step, speed"
        ),
    ),
    "unequal features": (
        "x_0,x_1,y_0,label\n1,2,3,a\n",
        "t.csv: each feature must have the same steps, but x has step 1 and y has not",
    ),
    "one step twice": (
        "x_1,x1,label\n1,2,a\n",
        "t.csv, column x1: must be a step of its own, but x_1 is the same",
    ),
    "a name without an end": (
        f"{'x' * 200_000},label\n1,a\n",
        "t.csv, line 1: must name the columns, but field larger than field limit (131072)",
    ),
    "a quote without an end": (
        LONG + '"c,0,1,x\n',
        "t.csv, row 5: must have 4 values as the first line has, but has 1",
    ),
}


def test_what_sets_values_apart_may_be_in_a_quoted_name(tmp_path: Path) -> None:
    text = LONG.replace("speed", '"speed; of; the; left; foot"')

    assert of_csv(tmp_path, text).features == ("speed; of; the; left; foot",)


@pytest.mark.parametrize("case", BROKEN_TEXT)
def test_broken_text(case: str, tmp_path: Path) -> None:
    content, message = BROKEN_TEXT[case]

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        of_csv(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "bytes_needed"),
    [
        ("a,b\n" + "0,1\n" * 100, 12 * 202),
        ("long;text\n" + "0,123456789;a, b, c and d | e\n" * 10, 310),  # commas are no delimiters
    ],
)
def test_what_a_table_takes_follows_from_its_values(
    tmp_path: Path, text: str, bytes_needed: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert in_memory(path) == bytes_needed
