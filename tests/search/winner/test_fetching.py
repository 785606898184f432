from dataclasses import replace
from pathlib import Path

import pytest

from search.common.home import Home
from search.database.store import Store
from search.jobs.jobs import JobNotFoundError, NotPossibleError
from search.winner.fetching import (
    ANSWERS,
    FILES,
    SUMS,
    champion_folder,
    fetch_model,
    offered,
    replace_champion,
    summed,
)
from tests.search.conftest import add_job, finish_job, make_spec


@pytest.fixture
def installation(home: Path, store: Store) -> Home:
    """An installation with a finished job."""
    made = Home.from_environment()
    add_job(store, make_spec())
    finish_job(store, "tiny-0001")
    folder = champion_folder(made, "tiny-0001")
    replace_champion(folder, {name: f"the champion's {name}".encode() for name in FILES})
    return made


def test_the_files_are_copied_and_may_be_fetched_again(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    to = tmp_path / "deep" / "model"
    for _ in range(2):
        fetched = fetch_model(store, installation, "tiny", to)
        assert fetched == [name for name in FILES if name != ANSWERS]
        written = {path.name: path.read_bytes() for path in to.iterdir()}
        sums = written.pop(SUMS)
        assert written == {name: f"the champion's {name}".encode() for name in fetched[:-1]}
        assert sums == summed({name: written[name] for name in fetched[:-1]})


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("pt2", ["model.pt2", "config.json", "metrics.json", "predict.py", "README.md", SUMS]),
        ("onnx", ["model.onnx", "config.json", "metrics.json", "predict.py", "README.md", SUMS]),
        ("safetensors", ["weights.safetensors", "config.json", "metrics.json", "README.md", SUMS]),
    ],
)
def test_one_format_is_fetched(
    installation: Home, store: Store, tmp_path: Path, form: str, files: list[str]
) -> None:
    assert fetch_model(store, installation, "tiny", tmp_path / "to", form) == files
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == sorted(files)


def test_a_format_that_is_not_offered_says_what_is(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    folder = champion_folder(installation, "tiny-0001")
    replace_champion(folder, {name: b"x" for name in FILES if name != "model.onnx"})
    assert "model.onnx" not in offered(folder)
    with pytest.raises(
        NotPossibleError, match=r"model.onnx did not .* there are: pt2, safetensors"
    ):
        fetch_model(store, installation, "tiny", tmp_path / "to", "onnx")
    assert "model.onnx" not in fetch_model(store, installation, "tiny", tmp_path / "to")


@pytest.mark.parametrize("name", [name for name in FILES if name not in {SUMS, ANSWERS}])
def test_a_damaged_file_is_not_fetched(
    installation: Home, store: Store, tmp_path: Path, name: str
) -> None:
    champion_folder(installation, "tiny-0001").write(name, b"something else")
    with pytest.raises(NotPossibleError, match=rf"{name} is not what was .* --repair` restores it"):
        fetch_model(store, installation, "tiny", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_model_that_was_saved_without_checksums_is_fetched(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    folder = champion_folder(installation, "tiny-0001")
    for name in (SUMS, ANSWERS, "predict.py", "model.onnx"):
        folder.delete(name)
    fetched = fetch_model(store, installation, "tiny", tmp_path / "to")
    assert fetched == [
        "model.pt2", "weights.safetensors", "config.json", "metrics.json", "README.md", SUMS
    ]  # fmt: skip
    folder.delete("README.md")  # as if it were being written
    with pytest.raises(NotPossibleError, match="has lost a file of its champion"):
        fetch_model(store, installation, "tiny", tmp_path / "to")


def test_of_what_was_fetched_before_nothing_is_left(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    fetch_model(store, installation, "tiny", to)
    (to / "report.md").write_text("of another")
    files = fetch_model(store, installation, "tiny", to, "onnx")
    assert sorted(path.name for path in to.iterdir()) == sorted(files)


def test_a_fetch_that_does_not_come_to_its_end_leaves_what_was_there(
    installation: Home, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to, write = tmp_path / "to", Path.write_bytes
    fetch_model(store, installation, "tiny", to)
    before = {path.name: path.read_bytes() for path in to.iterdir()}

    def full(path: Path, content: bytes) -> int:
        if path.name == SUMS:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(NotPossibleError, match="must be writable, but No space left on device"):
            fetch_model(store, installation, "tiny", to, "onnx")
    assert {path.name: path.read_bytes() for path in to.iterdir()} == before

    (to / ".gatetune-fetch-killed").mkdir()
    reports = {"report.md": b"what was found"}
    files = fetch_model(store, installation, "tiny", to, "onnx", lambda: reports)
    assert sorted(path.name for path in to.iterdir()) == sorted(files)
    assert (to / "report.md").read_bytes() == b"what was found"


def test_a_folder_of_ones_own_is_not_taken_for_one_that_was_fetched(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own")
    with pytest.raises(NotPossibleError, match=rf"fetched before, but .* has no {SUMS}"):
        fetch_model(store, installation, "tiny", mine)
    assert (mine / "README.md").read_text() == "my own"


def test_a_folder_that_cannot_be_written(
    installation: Home, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(NotPossibleError, match="must be writable, but No space left on device"):
        fetch_model(store, installation, "tiny", tmp_path / "to")


def test_a_folder_whose_checksums_say_nothing_is_not_whole(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    champion_folder(installation, "tiny-0001").write(SUMS, b"something else")
    with pytest.raises(NotPossibleError, match="has lost a file of its champion"):
        fetch_model(store, installation, "tiny", tmp_path / "to")


def test_a_folder_with_something_else_is_left_alone(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    to = tmp_path / "mine"
    to.mkdir()
    (to / "thesis.tex").write_text("mine")
    with pytest.raises(NotPossibleError, match=r"new or empty folder, but .* holds thesis.tex"):
        fetch_model(store, installation, "tiny", to)
    assert [path.name for path in to.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("inside", ["", "inside"])
def test_a_file_is_no_place_for_a_model(
    installation: Home, store: Store, tmp_path: Path, inside: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotPossibleError, match=r"--to must name a folder, but .*file is a file"):
        fetch_model(store, installation, "tiny", tmp_path / "file" / inside)


@pytest.mark.parametrize("missing", [name for name in FILES if name != SUMS])
def test_a_job_without_all_of_its_champion_gives_none(
    installation: Home, store: Store, tmp_path: Path, missing: str
) -> None:
    champion_folder(installation, "tiny-0001").delete(missing)
    with pytest.raises(NotPossibleError, match="has lost a file of its champion"):
        fetch_model(store, installation, "tiny", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_job_that_is_not_done_says_what_to_do(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    add_job(store, make_spec("name=other"), "other-0001")
    with pytest.raises(
        NotPossibleError, match=r"is stopped and has no .*gatetune resume other-0001"
    ):
        fetch_model(store, installation, "other", tmp_path / "to")


def test_a_store_that_cannot_be_reached(installation: Home, store: Store, tmp_path: Path) -> None:
    away = replace(installation, checkpoints="s3://bucket/x?what=1")
    with pytest.raises(NotPossibleError, match=r"files of job tiny-0001 cannot be reached: s3://b"):
        fetch_model(store, away, "tiny", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_an_unknown_job(installation: Home, store: Store, tmp_path: Path) -> None:
    with pytest.raises(JobNotFoundError, match="no job is called 'else'"):
        fetch_model(store, installation, "else", tmp_path / "to")
