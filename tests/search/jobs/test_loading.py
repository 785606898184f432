from pathlib import Path

import numpy as np
import pytest

from search.common.faults import SpecError
from search.common.home import Home
from search.database.store import Store
from search.document.spec import parse_job
from search.jobs.jobs import NotPossibleError, find
from search.jobs.loading import allowed, check_same_data, check_source, describe_data, load_data
from tests.search.conftest import add_job, make_spec
from trainables.faults import DatasetError

DOCUMENT = "data: {source: walks.npz, validation: 0.2}\n"


def write_walks(path: Path, *, lengths: bool = False) -> None:
    """Write 40 short walks of two classes, of equal or of unequal lengths."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    if not lengths:
        np.savez(path, x=rng.normal(y[:, None, None], 1.0, (40, 6, 2)), y=y)
        return
    each = 3 + np.arange(40) % 5
    np.savez(path, x=rng.normal(size=(each.sum(), 2)), lengths=each, y=y)


def test_other_data_than_the_job_began_with_is_refused(store: Store) -> None:
    job = find(store, add_job(store, make_spec()))
    check_same_data(job, {"name": "digits", "fingerprint": "00"})
    with pytest.raises(
        NotPossibleError, match="began with data 00, but digits is now 0123456789ab;"
    ):
        check_same_data(job, {"name": "digits", "fingerprint": "0123456789abcdef"})


def test_the_same_document_loads_the_same_data(home: Path) -> None:
    first, again, other = (
        describe_data(load_data(make_spec(f"seed={seed}"), Home.from_environment()))
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first["fingerprint"] != other["fingerprint"]
    assert (first["steps"], first["features"], len(first["classes"])) == (8, 8, 10)
    assert first["train"] + first["validation"] + first["test"] == 1797


def test_a_file_is_found_beside_its_document(tmp_path: Path, home: Path) -> None:
    write_walks(tmp_path / "walks.npz")
    spec = parse_job(DOCUMENT, folder=tmp_path)
    assert spec.data.source == str(tmp_path / "walks.npz")
    check_source(spec.data)
    data = load_data(spec, Home.from_environment())
    assert (data.name, data.shape.steps, data.features) == ("walks.npz", 6, 2)


def test_a_file_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"there is no {tmp_path}/walks\.npz"):
        check_source(parse_job(DOCUMENT, folder=tmp_path).data)


@pytest.mark.parametrize(
    "given",
    [
        ["training={}"],
        ["space.head=[mean, all-steps]"],
        ["baseline.0={cell: gru, hidden_size: 32, layers: 1, head: all-steps}"],
    ],
)
def test_all_steps_needs_sequences_of_one_length(
    tmp_path: Path, home: Path, given: list[str]
) -> None:
    write_walks(tmp_path / "walks.npz", lengths=True)
    fixed = [] if "space" in given[0] else ["training.head=mean"]
    spec = parse_job(DOCUMENT, [*fixed, *given], folder=tmp_path)
    with pytest.raises(DatasetError, match=r"training\.head: must be last or mean, since"):
        load_data(spec, Home.from_environment())


def test_other_heads_take_sequences_of_unequal_lengths(tmp_path: Path, home: Path) -> None:
    write_walks(tmp_path / "walks.npz", lengths=True)
    spec = parse_job(DOCUMENT, ["training.head=mean"], folder=tmp_path)
    assert load_data(spec, Home.from_environment()).shape.varies


def test_a_job_of_a_service_reads_uploaded_files(home: Path) -> None:
    installation = Home.from_environment()
    installation.places.uploads.mkdir(parents=True)
    write_walks(installation.places.uploads / "walks.npz")
    spec = allowed(parse_job(DOCUMENT), installation)
    assert spec.data.source == str(installation.places.uploads / "walks.npz")
    with pytest.raises(
        SpecError, match=r"data\.test: must be an uploaded file, or lie in a folder"
    ):
        allowed(parse_job(DOCUMENT, ["data.test=other.npz"]), installation)


def test_a_link_in_a_folder_leads_nowhere_else(home: Path, tmp_path: Path) -> None:
    installation = Home.from_environment()
    folder = installation.data / "walks"
    folder.mkdir(parents=True)
    write_walks(tmp_path / "secret.npz")
    (folder / "walks.npz").symlink_to(tmp_path / "secret.npz")
    with pytest.raises(SpecError, match=r"data\.source: must be an uploaded file, or lie in"):
        allowed(parse_job(DOCUMENT, ["data.source=walks/"]), installation)
    (folder / "walks.npz").unlink()
    with pytest.raises(SpecError, match="must hold one file ending in"):
        allowed(parse_job(DOCUMENT, ["data.source=walks/"]), installation)
    write_walks(folder / "walks.npz")
    spec = allowed(parse_job(DOCUMENT, ["data.source=walks/"]), installation)
    assert spec.data.source == str(folder)
