"""Files that are drawn, whole, damaged or of any bytes: read as written, or a message says why."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.sources.written import ANY_LENGTH, ONE_LENGTH, Example, dataset, example
from trainables.faults import DatasetError
from trainables.sources.columns import Columns
from trainables.sources.files import FileOptions, read

NUMBERS = st.floats(width=32, allow_infinity=False)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    features = draw(st.integers(1, 3))
    count = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    values = draw(st.lists(NUMBERS, min_size=sum(lengths) * features,
                           max_size=sum(lengths) * features))  # fmt: skip
    x = np.array(values, np.float32).reshape(-1, features)
    labels = draw(st.lists(st.text("abcXYZ", min_size=1), min_size=count, max_size=count))
    names = tuple(f"f{place}"[:2] + "xyz"[place] for place in range(features))
    return Example(np.split(x, np.cumsum(lengths)[:-1]), labels, names)


@pytest.mark.parametrize("name", ANY_LENGTH)
@given(made=examples())
def test_what_is_written_is_read(
    name: str, made: Example, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    ANY_LENGTH[name](path, made)

    found = read(
        path, Columns(sequence="sequence") if path.suffix in {".csv", ".parquet"} else Columns()
    )

    np.testing.assert_array_equal(found.x, np.concatenate(made.sequences))
    assert found.lengths.tolist() == made.lengths
    assert found.labels.tolist() == made.labels


def loads_or_says_why(path: Path) -> None:
    """Load a file, of which nothing is known; any other exception fails the test."""
    try:
        data = dataset(path, FileOptions(missing="mean"))
    except DatasetError as fault:
        said = str(fault)
    else:
        said = f"{path.name}: {len(data.train)} sequences"
    assert re.match(rf"{path.name}|data\.|label |each of the ", said), said
    assert "\n" not in said


@pytest.mark.parametrize("suffix", [".csv", ".ts", ".npz", ".parquet"])
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes(suffix: str, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)

    loads_or_says_why(path)


Good = Callable[[str], bytes]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    """Good files of every format by name."""
    folder = tmp_path_factory.mktemp("good")
    for name, write in ONE_LENGTH.items():
        write(folder / name, example(12))
    return lambda name: (folder / name).read_bytes()


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, bytes]]:
    """What is done to a file: where, as a share of it, and with which bytes."""
    kind = st.sampled_from(["put", "insert", "cut", "end"])
    words = st.binary(min_size=1, max_size=4) | st.sampled_from(
        [
            b"\n",
            b",",
            b":",
            b'"',
            b"nan",
            b"?",
            b"-1",
            b"1e99",
            b"inf",
            b"\xff",
            b"\x00",
            b"@data\n",
            b"a",
        ]
    )
    return draw(st.lists(st.tuples(kind, st.floats(0, 1), words), min_size=1, max_size=4))


def mutated(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for kind, share, put in changes:
        at = int(share * len(data))
        if kind == "end":
            data = data[:at]
        else:
            skipped = {"put": len(put), "insert": 0, "cut": 8}[kind]
            data = data[:at] + (b"" if kind == "cut" else put) + data[at + skipped :]
    return data


@pytest.mark.parametrize("name", ONE_LENGTH)
@given(changes=mutations())
def test_any_damage_to_a_good_file(
    name: str,
    changes: list[tuple[str, float, bytes]],
    good: Good,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(mutated(good(name), changes))

    loads_or_says_why(path)
