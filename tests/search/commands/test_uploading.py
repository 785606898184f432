"""A document names a file of this machine; a service that has never seen it runs the job."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from search.commands.remote import Remote
from search.commands.uploading import name_of, with_uploads
from search.common.faults import SpecError
from search.database.tables import Job
from search.document.spec import JobSpec
from search.jobs.jobs import NotPossibleError
from search.jobs.loading import allowed, load_data
from tests.search.jobs.test_loading import write_walks
from tests.search.service.api.served import Served, fresh, serving
from trainables.faults import DatasetError


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with serving(fresh(tmp_path / "there")) as served:
        yield served


@pytest.fixture
def remote(service: Served) -> Iterator[Remote]:
    opened = Remote(service.url, None)
    yield opened
    opened.close()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    write_walks(tmp_path / "My walks.npz")
    path = tmp_path / "job.yaml"
    path.write_text("data: {source: ./My walks.npz, validation: 0.2}\n")
    return path


def launch(remote: Remote, document: Path, *overrides: str) -> tuple[str, str]:
    """Return the id of a new job and what was printed."""
    console = Console(record=True, width=200)
    with console.capture() as said:
        shown = remote.launch(document, overrides, console, detach=True)
    return shown["id"], said.get()


def stored(service: Served, job_id: str) -> JobSpec:
    with service.store.session() as session:
        return JobSpec.from_json(session.get_one(Job, job_id).document)


def test_a_launch_brings_its_file_once(service: Served, remote: Remote, document: Path) -> None:
    first, said = launch(remote, document)
    second, said_again = launch(remote, document, "seed=1")
    kept = service.get("/data")
    assert [one["name"] for one in kept] == [name_of(document.parent / "My walks.npz")]
    assert kept[0]["name"].startswith("My-walks-")
    assert "uploading My walks.npz, 0.0 MB" in said
    assert "uploading" not in said_again
    for job_id in (first, second):
        spec = stored(service, job_id)
        assert spec.data.source == kept[0]["name"]
        data = load_data(allowed(spec, service.home), service.home)
        assert (data.shape.steps, data.features) == (6, 2)


def test_another_file_under_the_name_is_not_taken_for_ours(
    service: Served, remote: Remote, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_of(document.parent / "My walks.npz")
    service.home.places.uploads.mkdir(parents=True)
    (service.home.places.uploads / name).write_bytes(b"mallory's")
    with pytest.raises(NotPossibleError, match=f"another file than .* under the name {name}"):
        launch(remote, document)
    listed = Remote.get
    answers: Iterator[list[str]] = iter([[]])  # as if the other came at the same moment
    monkeypatch.setattr(
        Remote, "get", lambda self, path, **wanted: next(answers, None) or listed(self, path)
    )
    with pytest.raises(NotPossibleError, match="another file than"):
        launch(remote, document)
    assert service.get("/jobs")["jobs"] == []


def test_a_folder_brings_both_of_its_parts(service: Served, remote: Remote, document: Path) -> None:
    folder = document.parent / "parts"
    folder.mkdir()
    write_walks(folder / "walks_train.npz")
    x = np.load(folder / "walks_train.npz")
    np.savez(folder / "walks_test.npz", x=x["x"] + 1, y=x["y"])
    job_id, _ = launch(remote, document, f"data.source={folder}/")
    spec = stored(service, job_id)
    assert [one["name"] for one in service.get("/data")] == [spec.data.test, spec.data.source]
    assert len(load_data(allowed(spec, service.home), service.home).test) == 40


def test_what_is_not_here_may_be_there(service: Served, remote: Remote, document: Path) -> None:
    service.home.places.uploads.mkdir(parents=True)
    write_walks(service.home.places.uploads / "theirs.npz")
    job_id, _ = launch(remote, document, "data.source=theirs.npz")
    assert Path(stored(service, job_id).data.source).name == "theirs.npz"
    with pytest.raises(SpecError, match=r"data\.source: must be an uploaded file, or lie in"):
        launch(remote, document, "data.source=nobodys.npz")
    assert len(service.get("/jobs")["jobs"]) == 1


@pytest.mark.parametrize("name", ["n" * 300 + ".csv", "nul\0.csv"])
def test_what_cannot_be_looked_for_here_is_left_as_it_is(document: Path, name: str) -> None:
    def never(name: str, path: Path) -> None:
        pytest.fail(f"{path} was uploaded as {name}")

    given = [f'data.source="./{name.encode("unicode_escape").decode()}"']
    assert with_uploads(document, "data: {source: digits}", given, never) == given


def test_nothing_is_brought_for_a_named_source_or_of_a_folder_without_data(
    document: Path, tmp_path: Path
) -> None:
    def never(name: str, path: Path) -> None:
        pytest.fail(f"{path} was uploaded as {name}")

    assert with_uploads(document, "data: {source: digits}", ["seed=1"], never) == ["seed=1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="must hold one file ending in"):
        with_uploads(document, "data: {source: ./empty}", [], never)
