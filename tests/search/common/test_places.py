from pathlib import Path

import pytest

from search.common.faults import SpecError
from search.common.places import Places, anchored, fault_of, is_path


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("digits", False), ("mnist-6k", False), ("walks", False), ("walks.npz", True),
        ("./walks", True), ("walks/", True), ("/data/walks.csv", True), ("a.parquet", True),
    ],
)  # fmt: skip
def test_a_path_is_known_by_its_looks(source: str, is_one: bool) -> None:
    assert is_path(source) is is_one


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("digits", None),
        ("walks.csv", None),
        ("digit", "did you mean digits?"),
        ("walks.xlsx", "a file ending in .npz, .csv, .tsv, .parquet, .ts"),
        ("https://example.org/walks.csv", "no URL"),
        ("walks\n.csv", "control characters"),
    ],
)
def test_what_can_be_no_source(source: str, fault: str | None) -> None:
    found = fault_of(source)
    assert found is None if fault is None else fault in str(found)


def test_relative_paths_begin_in_a_folder() -> None:
    assert anchored("walks.csv", Path("/jobs")) == "/jobs/walks.csv"
    assert anchored("../walks.csv", Path("/jobs/mine")) == "/jobs/walks.csv"
    assert anchored("/data/walks.csv", Path("/jobs")) == "/data/walks.csv"
    assert anchored("~/walks.csv", Path("/jobs")) == str(Path.home() / "walks.csv")
    for other in ("digits", "digit", None, 3):
        assert anchored(other, Path("/jobs")) == other


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Files in every place that is allowed and in one that is not, and links between them."""
    found = Places(tmp_path / "data", (tmp_path / "root",))
    for folder in (found.uploads, tmp_path / "root" / "deep", tmp_path / "secret"):
        folder.mkdir(parents=True)
    (found.uploads / "walks.npz").touch()
    (found.data / "shared.csv").touch()
    (tmp_path / "root" / "deep" / "runs.ts").touch()
    (tmp_path / "secret" / "key.csv").touch()
    (found.uploads / "out.csv").symlink_to(tmp_path / "secret" / "key.csv")
    (found.data / "away").symlink_to(tmp_path / "secret")
    (found.data / "round.csv").symlink_to(found.data / "round.csv")
    (found.data / "inside.ts").symlink_to(found.data / "shared.csv")
    return found


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("walks.npz", "data/uploads/walks.npz"),
        ("shared.csv", "data/shared.csv"),
        ("uploads/walks.npz", "data/uploads/walks.npz"),
        ("deep/runs.ts", "root/deep/runs.ts"),
        ("./deep", "root/deep"),
        ("inside.ts", "data/shared.csv"),
    ],
)
def test_files_that_a_service_may_read(
    places: Places, tmp_path: Path, source: str, at: str
) -> None:
    assert places.find("data.source", source) == tmp_path / at
    assert places.find("data.source", str(tmp_path / at)) == tmp_path / at


@pytest.mark.parametrize(
    "source",
    [
        "other.npz", "out.csv", "away/key.csv", "../secret/key.csv", "uploads/../../secret/key.csv",
        "deep/../../secret/key.csv", "uploads/../shared.csv", "/etc/passwd", "/", "../",
        "a" * 300 + ".csv", "a\0.csv", "x/" * 3000, "round.csv", "/proc/1/cwd/x.csv",
    ],
)  # fmt: skip
def test_files_that_a_service_may_not_read(places: Places, tmp_path: Path, source: str) -> None:
    for spelled in (source, str(tmp_path / "secret" / "key.csv"), f"{tmp_path}/data/../secret/"):
        with pytest.raises(SpecError, match=r"data\.source: must be an uploaded file, or lie in"):
            places.find("data.source", spelled)
