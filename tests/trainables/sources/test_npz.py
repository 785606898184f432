import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.faults import DatasetError
from trainables.sequences import Sequences
from trainables.sources.npz import SHAPES, read

CUBE = np.arange(24).reshape(4, 3, 2)
FLAT = np.arange(20.0).reshape(10, 2)
Y = np.array([0, 1, 0, 1])


def of(folder: Path, **arrays: Any) -> Sequences:
    np.savez(folder / "t.npz", **arrays)
    return read(folder / "t.npz")


def changed(place: tuple[int, ...], value: float) -> Any:
    found = CUBE.astype(np.float64)
    found[place] = value
    return found


FINITE = "must be finite and at most 3.4e38 in size"

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "t.npz: must hold an array x, but has none"),
    "no x": ({"data": CUBE, "y": Y}, "t.npz: must hold an array x, but has data, y"),
    "no y": ({"x": CUBE}, "t.npz: must hold an array y, but has x"),
    "objects in x": (
        {"x": np.array([[1], [2, 3]], object), "y": Y},
        "t.npz, x: must hold numbers or text, but holds Python objects, which are never unpickled",
    ),
    "objects in y": (
        {"x": CUBE, "y": np.array([0, None, 1, "a"], object)},
        "t.npz, y: must hold numbers or text, but holds Python objects, which are never unpickled",
    ),
    "text in x": ({"x": CUBE.astype(str), "y": Y}, "t.npz, x: must hold numbers, but holds <U21"),
    "complex": ({"x": CUBE * 1j, "y": Y}, "t.npz, x: must hold numbers, but holds complex128"),
    "records": (
        {"x": np.zeros(4, [("a", "f4")]), "y": Y},
        "t.npz, x: must hold numbers, but holds [('a', '<f4')]",
    ),
    "two dimensions": (
        {"x": FLAT, "y": Y},
        f"t.npz, x: must be {SHAPES}, but is [10, 2]",
    ),
    "three dimensions and lengths": (
        {"x": CUBE, "y": Y, "lengths": [3, 3, 3, 3]},
        f"t.npz, x: must be {SHAPES}, but is [4, 3, 2]",
    ),
    "one number": (
        {"x": 3.0, "y": Y},
        f"t.npz, x: must be {SHAPES}, but is []",
    ),
    "no sequences": (
        {"x": CUBE[:0], "y": Y[:0]},
        "t.npz, x: must have sequences, steps and features, but is [0, 3, 2]",
    ),
    "no steps": (
        {"x": CUBE[:, :0], "y": Y},
        "t.npz, x: must have sequences, steps and features, but is [4, 0, 2]",
    ),
    "no features": (
        {"x": CUBE[:, :, :0], "y": Y},
        "t.npz, x: must have sequences, steps and features, but is [4, 3, 0]",
    ),
    "no lengths": (
        {"x": FLAT[:0], "y": [], "lengths": np.zeros(0, int)},
        "t.npz, x: must have sequences, steps and features, but is [0, 2]",
    ),
    "a length of zero": (
        {"x": FLAT, "y": Y, "lengths": [5, 0, 4, 1]},
        "t.npz, lengths, sequence 2: must be at least 1, but got 0",
    ),
    "a length below": (
        {"x": FLAT, "y": Y, "lengths": [5, 6, 1, -2]},
        "t.npz, lengths, sequence 4: must be at least 1, but got -2",
    ),
    "lengths of too few steps": (
        {"x": FLAT, "y": Y, "lengths": [1, 2, 3, 3]},
        "t.npz, lengths: must add up to the 10 steps of x, but make 9",
    ),
    "lengths beyond any number": (
        {"x": FLAT, "y": Y[:3], "lengths": np.array([2**63, 2**63, 10], np.uint64)},
        "t.npz, lengths: must add up to the 10 steps of x, but make 18446744073709551626",
    ),
    "lengths with a dot": (
        {"x": FLAT, "y": Y, "lengths": [1.0, 2, 3, 4]},
        "t.npz, lengths: must be [sequences] whole numbers, but is [4] float64",
    ),
    "too few labels": (
        {"x": CUBE, "y": Y[:3]},
        "t.npz, y: must have a label for each of the 4 sequences, but is [3]",
    ),
    "one label": (
        {"x": CUBE, "y": 1},
        "t.npz, y: must have a label for each of the 4 sequences, but is []",
    ),
    "labels of no number": (
        {"x": CUBE, "y": np.zeros((4, 0))},
        "t.npz, y: must have a label for each of the 4 sequences, but is [4, 0]",
    ),
    "bytes as labels": (
        {"x": CUBE, "y": Y.astype("S1")},
        "t.npz, y: must hold text or numbers, but holds |S1",
    ),
    "a label that is no number": (
        {"x": CUBE, "y": [0, 1, np.nan, 1]},
        "t.npz, y, sequence 3: must be finite, but got nan",
    ),
    "a target that is no number": (
        {"x": CUBE, "y": [[0, 1], [0, np.inf], [0, 0], [1, 1]]},
        "t.npz, y, sequence 2: must be finite, but got inf",
    ),
    "infinite": (
        {"x": changed((2, 1, 0), -np.inf), "y": Y},
        f"t.npz, x, sequence 3, step 2, feature 0: {FINITE}, but got -inf",
    ),
    "too large": (
        {"x": changed((0, 2, 1), 1e200), "y": Y},
        f"t.npz, x, sequence 1, step 3, feature 1: {FINITE}, but got 1e+200",
    ),
    "a group too few": (
        {"x": CUBE, "y": Y, "group": [1, 2, 3]},
        "t.npz, group: must have a value for each of the 4 sequences, but is [3] int64",
    ),
    "a group that is no number": (
        {"x": CUBE, "y": Y, "group": [1, 2, np.nan, 3]},
        "t.npz, group, sequence 3: must be finite, but got nan",
    ),
    "a time that is none": (
        {"x": CUBE, "y": Y, "time": np.array(["2025-01-01", "NaT"] * 2, "M8[D]")},
        "t.npz, time, sequence 2: must be finite, but got NaT",
    ),
    "half a character": (
        {"x": CUBE, "y": np.array([0x61, 0xD800, 0x61, 0x62], np.uint32).view("U1")},
        "t.npz, y: must be text, but holds what is no character",
    ),
    "no character": (
        {"x": CUBE, "y": np.array([0x61, 0x110000, 0x61, 0x62], np.uint32).view("U1")},
        "t.npz, y: must be text, but holds what is no character",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_arrays(case: str, tmp_path: Path) -> None:
    arrays, message = BROKEN[case]

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        of(tmp_path, **arrays)


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"x.npy": saved(CUBE)[:-8], "y.npy": saved(Y)}, "t.npz, x: must be a whole array, but "),
        ({"x.npy": b"", "y.npy": saved(Y)}, "t.npz, x: must be an array, but is something else"),
        ({"x": b"none", "y.npy": saved(Y)}, "t.npz, x: must be an array, but is something else"),
        (
            {"x.npy": saved(CUBE).replace(b"(4, 3, 2)", b"(9**9,2) "), "y.npy": saved(Y)},
            "t.npz, x: must be a whole array, but ",
        ),
        (
            {"x.npy": saved(CUBE).replace(b"(4, 3, 2)", b"(9999,92)"), "y.npy": saved(Y)},
            "t.npz, x: must be a whole array, but ",
        ),
    ],
)
def test_broken_packages(inside: dict[str, bytes], message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as packed:
        for name, data in inside.items():
            packed.writestr(name, data)

    with pytest.raises(DatasetError, match=f"^{re.escape(message)}"):
        read(tmp_path / "t.npz")


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"x" * 99, saved])
def test_what_is_no_package_is_named_as_such(damage: Any, tmp_path: Path) -> None:
    of(tmp_path, x=CUBE, y=Y)
    path = tmp_path / "t.npz"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DatasetError, match=r"^t\.npz: must be a file of numpy\.savez, but "):
        read(path)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Loud:
        def __reduce__(self) -> Any:
            return (tmp_path / "unpickled").touch, ()

    with pytest.raises(DatasetError, match="which are never unpickled"):
        of(tmp_path, x=CUBE, y=np.array([Loud()] * 4))

    assert not (tmp_path / "unpickled").exists()


def test_a_package_that_no_memory_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.npy", bytes(10**8))
    size = (tmp_path / "t.npz").stat().st_size

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainables.sources.room.SHARE", 1e-5)
        with pytest.raises(DatasetError, match=r"must fit .* but holds 0\.1 GB$"):
            read(tmp_path / "t.npz")
    assert size < 10**6


@pytest.mark.parametrize(
    "kind", ["u1", "i1", "u2", "i8", "u8", "f2", "f4", "f8", "g", ">f4", ">i8", "?"]
)
def test_numbers_of_every_kind(kind: str, tmp_path: Path) -> None:
    x = CUBE.astype(kind)

    found = of(tmp_path, x=np.asfortranarray(x), y=Y)

    assert found.x.dtype == (np.uint8 if kind == "u1" else np.float32)
    assert found.x.flags.c_contiguous
    np.testing.assert_array_equal(found.x, x.reshape(12, 2).astype(np.float32))
    assert found.lengths.tolist() == [3] * 4


def test_unequal_lengths_with_all_that_may_be_beside(tmp_path: Path) -> None:
    days = np.array(["2025-01-02", "2025-01-01", "2025-01-03", "2025-01-04"], "M8[D]")
    lengths, groups = np.array([1, 2, 3, 4], np.uint8), list("uuvv")
    kept = {"x": FLAT, "y": list("abab"), "lengths": lengths, "notes": "other"}

    found, timed = of(tmp_path, group=groups, **kept), of(tmp_path, time=days, **kept)

    assert found.lengths.tolist() == [1, 2, 3, 4]
    assert found.labels.tolist() == ["a", "b", "a", "b"]
    assert found.groups is not None
    assert found.groups.tolist() == groups
    assert timed.times is not None
    assert timed.times.tolist() == days.tolist()
    with pytest.raises(DatasetError, match=r"t\.npz: must hold group or time, .* but has both"):
        of(tmp_path, group=groups, time=days, **kept)
    assert found.features == ("0", "1")


def test_labels_in_columns(tmp_path: Path) -> None:
    assert of(tmp_path, x=CUBE, y=Y[:, None]).labels.tolist() == [0, 1, 0, 1]
    assert of(tmp_path, x=CUBE, y=np.stack([Y, Y + 2], axis=1)).targets == ("y0", "y1")
