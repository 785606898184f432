import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dashboards.console.preview import (
    TooLargeError,
    line,
    looked_at,
    picture,
    preview,
    unpacked,
)
from search.common.home import Home
from tests.search.conftest import make_spec
from trainables.faults import DatasetError


def test_what_an_archive_unpacks_to_counts(tmp_path: Path) -> None:
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, x=np.zeros((1000, 1000)))
    assert path.stat().st_size < 100_000
    assert unpacked(path) > 8_000_000
    (tmp_path / "plain.csv").write_text("a,b\n")
    assert unpacked(tmp_path / "plain.csv") == 4


def test_a_look_at_too_much_or_at_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain.csv").write_text("a,b\n")
    with pytest.raises(DatasetError, match="No such file"), looked_at([tmp_path / "gone.csv"]):
        pass
    monkeypatch.setattr("dashboards.console.preview.MOST_BYTES", 3)
    with pytest.raises(TooLargeError, match="too large to look at"), looked_at([tmp_path]):
        pass


def test_data_that_would_be_downloaded_are_not_looked_at(home: Path) -> None:
    assert preview(make_spec("data.source=mnist"), Home.from_environment()) is None


def test_a_look_costs_no_service_what_downloads_data() -> None:
    code = "import sys, dashboards.console.preview; print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"False\n"


def test_a_line_leaves_out_what_is_missing() -> None:
    assert line(np.array([0.0, np.nan, 1.0])) == "0.0,38.0 100.0,2.0"
    assert line(np.array([np.nan])) == ""
    assert line(np.array([2.0, 2.0])) == "0.0,38.0 100.0,38.0"


def test_a_picture_stands_in_the_page() -> None:
    assert picture(np.zeros((4, 4))).startswith("data:image/png;base64,")
