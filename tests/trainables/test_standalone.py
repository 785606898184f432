"""The file beside an exported model: what it reads of the forms in which data are saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.standalone import AT_ONCE, batches, read

X = np.arange(12.0).reshape(2, 3, 2)
FLAT = X.reshape(6, 2)


def said(*, varies: bool = False, missing: str = "refuse") -> dict[str, Any]:
    preparation = {"offset": [0.0, 0.0], "missing": missing}
    return {"shape": {"varies": varies, "steps": 3}, "preparation": preparation}


def asked(path: Path, known: dict[str, Any]) -> list[dict[str, Any]]:
    return list(batches(*read(str(path), known), known["shape"]))


def test_sequences_behind_each_other_are_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "apart.npz", x=X)
    np.savez(tmp_path / "behind.npz", x=FLAT, lengths=[3, 3])
    for name in ("apart.npz", "behind.npz"):
        (given,) = asked(tmp_path / name, said())
        assert given.keys() == {"x"}
        assert np.array_equal(given["x"], X)


def test_sequences_of_unequal_lengths_are_padded_a_few_at_a_time(tmp_path: Path) -> None:
    lengths = np.array([2] * AT_ONCE + [5, 1])
    x = np.arange(2.0 * lengths.sum()).reshape(-1, 2)
    np.savez(tmp_path / "new.npz", x=x, lengths=lengths)
    first, last = asked(tmp_path / "new.npz", said(varies=True))
    assert (first["x"].shape, last["x"].shape) == ((AT_ONCE, 3, 2), (2, 5, 2))
    assert np.array_equal(np.concatenate([first["lengths"], last["lengths"]]), lengths)
    assert np.array_equal(first["x"][1, :2], x[2:4])
    assert np.array_equal(last["x"][0], x[-6:-1])
    assert np.array_equal(last["x"][1], [x[-1], [0, 0], [0, 0], [0, 0], [0, 0]])


def test_gaps_are_for_models_that_know_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.full_like(X, np.nan))
    (given,) = asked(tmp_path / "new.npz", said(missing="forward"))
    assert np.isnan(given["x"]).all()


def test_a_file_that_numpy_cannot_read_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "none.npz").write_text("none")
    (tmp_path / "torn.npz").write_bytes(b"PK\3\4torn")
    for name in ("nowhere.npz", "none.npz", "torn.npz", "one.npy"):
        with pytest.raises(SystemExit, match=rf"predict.py: \S*{name} must be "):
            read(str(tmp_path / name), said())


@pytest.mark.parametrize(
    ("arrays", "varies", "message"),
    [
        ({"x": FLAT, "lengths": [2, 4]}, False, r"lengths: must all be 3, .* but got \[2, 4\]"),
        ({"x": X[:, :2]}, False, r"lengths: must all be 3, .* but got \[2\]"),
        ({"x": FLAT}, True, "must hold x"),
        ({"x": X, "lengths": [3, 2]}, True, "must hold x"),
        ({"y": X}, True, "must hold x"),
        ({"x": FLAT, "lengths": [3, 2]}, True, "lengths: must be 1 or more each, and 6"),
        ({"x": FLAT, "lengths": [6, 0]}, True, "lengths: must be 1 or more each, and 6"),
        ({"x": X[..., :1]}, True, "x: must have 2 features, .* but has 1"),
        ({"x": X * np.nan}, False, "x: must have no gaps"),
        ({"x": X - np.inf}, False, "x: must be finite and at most 3.4e38"),
        ({"x": X * 1e38}, False, "x: must be finite and at most 3.4e38"),
    ],
)
def test_what_the_model_cannot_answer_is_told(
    tmp_path: Path, arrays: dict[str, Any], varies: bool, message: str
) -> None:
    np.savez(tmp_path / "new.npz", **arrays)
    with pytest.raises(SystemExit, match=f"predict.py: {message}"):
        read(str(tmp_path / "new.npz"), said(varies=varies))
