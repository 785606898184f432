"""The file beside an exported model: what it reads of the forms in which data are saved."""

from pathlib import Path

import numpy as np
import pytest

from trainables.standalone import read

EQUAL = {"varies": False, "steps": 3}


def test_sequences_behind_each_other_are_told_apart(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    np.savez(tmp_path / "apart.npz", x=x)
    np.savez(tmp_path / "behind.npz", x=x.reshape(6, 2), lengths=[3, 3])
    for name in ("apart.npz", "behind.npz"):
        assert np.array_equal(read(str(tmp_path / name), EQUAL)["x"], x)


def test_lengths_that_the_model_does_not_know_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.zeros((6, 2)), lengths=[2, 4])
    with pytest.raises(SystemExit, match=r"lengths: must all be 3, .* but got \[2, 4\]"):
        read(str(tmp_path / "new.npz"), EQUAL)
