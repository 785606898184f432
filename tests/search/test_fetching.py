from dataclasses import replace
from pathlib import Path

import pytest

from search.fetching import FILES, champion_folder, fetch_model
from search.home import Home
from search.jobs import JobNotFoundError, NotPossibleError
from search.store import Store
from tests.search.conftest import add_job, finish_job, make_spec


@pytest.fixture
def installation(home: Path, store: Store) -> Home:
    """An installation with a finished job."""
    made = Home.from_environment()
    add_job(store, make_spec())
    finish_job(store, "tiny-0001")
    folder = champion_folder(made, "tiny-0001")
    for name in FILES:
        folder.write(name, f"the champion's {name}".encode())
    return made


def test_the_files_are_copied_and_may_be_fetched_again(
    installation: Home, store: Store, tmp_path: Path
) -> None:
    to = tmp_path / "deep" / "model"
    for _ in range(2):
        assert fetch_model(store, installation, "tiny", to) == list(FILES)
        assert {path.name: path.read_text() for path in to.iterdir()} == {
            name: f"the champion's {name}" for name in FILES
        }


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


@pytest.mark.parametrize("missing", FILES)
def test_a_job_without_all_of_its_champion_gives_none(
    installation: Home, store: Store, tmp_path: Path, missing: str
) -> None:
    champion_folder(installation, "tiny-0001").delete(missing)
    with pytest.raises(NotPossibleError, match="has no champion yet"):
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
