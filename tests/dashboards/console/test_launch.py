"""What the launch page is told of a document."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import yaml

from dashboards.console.form import changed
from dashboards.console.launch import EXAMPLE
from dashboards.console.preview import loaded
from search.document.spec import parse_job
from tests.search.drafting.test_drafting import walks
from tests.search.service.api.served import Served, fresh, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(fresh(tmp_path_factory.mktemp("launch"))) as served:
        yield served


def check(service: Served, document: str, **change: Any) -> Any:
    answer = service.client.post(
        f"{service.url}/launch/check",
        json={"document": document, "changes": [change] if change else []},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def page(service: Served, query: str = "") -> str:
    return service.client.get(f"{service.url}/launch{query}").text


def document_on(page: str) -> str:
    """Return the document that a page begins with."""
    return unescape(page.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0])


def test_the_example_is_right_and_its_forecast_says_what_is_asked_for(service: Served) -> None:
    parse_job(EXAMPLE)
    told = check(service, EXAMPLE)
    assert (told["faults"], told["rest"]) == ({}, [])
    for part in ("about ", "1,149 training", "10 classes", "LSTM 64×2", "14", "data:image/png"):
        assert part in told["forecast"]


@pytest.mark.parametrize(
    ("part", "value", "field", "said"),
    [
        ("budget.trials", "none of it", "budget.trials", "must be a whole number"),
        ("name", "Big Name", "name", "must be 1 to 64 of a-z"),
        ("data.source", "digts", "data.source", "did you mean digits?"),
        ("data.source", "/etc/passwd.csv", "data.source", "must"),
        ("space.hidden_size.low", "900", "space.hidden_size", "low <= high must hold"),
        ("space.learning_rate.high", "0", "space.learning_rate", "must"),
        ("data.source", "missing.npz", "data.source", "missing.npz"),
    ],
)
def test_a_fault_stands_at_its_field(
    service: Served, part: str, value: str, field: str, said: str
) -> None:
    told = check(service, EXAMPLE, part=part, value=value)
    assert told["forecast"] == ""
    found = [path for path in told["faults"] if path.startswith(field)]
    assert found, told
    assert any(said in text for path in found for text in told["faults"][path])


def test_a_text_that_no_encoding_has_is_a_fault_as_any_other(service: Served) -> None:
    assert check(service, EXAMPLE.replace("name: digits", 'name: "\\ud800"'))["faults"]["name"]


def test_a_file_that_cannot_be_learned(service: Served) -> None:
    uploads = service.home.places.uploads
    uploads.mkdir(parents=True, exist_ok=True)
    (uploads / "broken.npz").write_text("nothing")
    told = check(service, EXAMPLE, part="data.source", value="broken.npz")
    assert told["faults"]["data.source"]
    assert "broken.npz" in page(service, "?data=broken.npz")


def test_the_example_says_nothing_of_digits_where_other_data_were_chosen(service: Served) -> None:
    for source in ("fashion-mnist", "nowhere.npz"):
        text = document_on(page(service, f"?data={source}"))
        document = yaml.safe_load(text)
        assert (document["name"], document["data"]["source"]) == (Path(source).stem, source)
        assert "handwritten" not in text


@pytest.mark.parametrize("name", ["Walks.CSV", "noext", "sub", "a.csv.gz"])
def test_data_of_a_name_that_no_reader_has_are_one_fault(service: Served, name: str) -> None:
    assert "must be one of" in page(service, f"?data={name}")


@pytest.mark.parametrize("name", ["torn.npz", "torn.parquet"])
def test_a_damaged_file_is_told_of_by_who_reads_it(service: Served, name: str) -> None:
    uploads = service.home.places.uploads
    uploads.mkdir(parents=True, exist_ok=True)
    whole = walks(uploads / "whole.npz", 200, steps=20).read_bytes()
    torn = whole.replace(b"PK\1\2", b"PK\1\3", 1)
    (uploads / name).write_bytes(torn if name == "torn.npz" else b"PAR1" + bytes(8) + b"PAR1")
    told = check(service, EXAMPLE, part="data.source", value=name)
    (fault,) = told["faults"]["data.source"]
    assert name in fault
    assert "None" not in fault


def test_uploaded_data_get_the_document_that_init_would_write(service: Served) -> None:
    uploads = service.home.places.uploads
    uploads.mkdir(parents=True, exist_ok=True)
    walks(uploads / "walks.npz", 200, steps=20)
    text = document_on(page(service, "?data=walks.npz"))
    spec = yaml.safe_load(text)
    assert (spec["name"], spec["data"]["source"]) == ("walks", "walks.npz")
    assert "Written by" not in text
    told = check(service, text)
    assert (told["faults"], told["rest"]) == ({}, [])
    assert "polyline" in told["forecast"]


def test_data_are_loaded_once_however_often_the_document_changes(service: Served) -> None:
    loaded.cache_clear()
    for trials in ("3", "4", "5"):
        check(service, EXAMPLE, part="budget.trials", value=trials)
    assert loaded.cache_info().misses == 1
    check(service, EXAMPLE, part="data.validation", value="0.3")
    assert loaded.cache_info().misses == 2


def test_very_large_data_are_not_looked_at(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = service.home.places.uploads
    uploads.mkdir(parents=True, exist_ok=True)
    walks(uploads / "large.npz", 200, steps=20)
    monkeypatch.setattr("dashboards.console.preview.MOST_BYTES", 1000)
    told = check(service, EXAMPLE, part="data.source", value="large.npz")
    assert (told["faults"], told["rest"]) == ({}, [])
    assert "too large to look at" in told["forecast"]


def test_a_head_that_the_data_do_not_allow(service: Served) -> None:
    document = changed(EXAMPLE, "data.source", "japanese-vowels")
    assert check(service, document)["faults"] == {"data.source": [ANY]}


def test_from_an_earlier_job(service: Served) -> None:
    made = service.client.post(f"{service.url}/api/v1/jobs", json={"document": EXAMPLE}).json()
    shown = page(service, f"?job={made['id']}")
    assert "1,797 handwritten digits" in shown
    assert f"From the document of {made['id']}" in shown
    assert check(service, EXAMPLE)["forecast"].count("1 job ahead or beside it") == 1


def test_from_an_earlier_job_whose_document_was_replaced_in_part(service: Served) -> None:
    sent = {"document": EXAMPLE, "set": ["budget.trials=3", "training.epochs=2"]}
    made = service.client.post(f"{service.url}/api/v1/jobs", json=sent).json()
    shown = page(service, f"?job={made['id']}")
    assert "trials: 3\n" in shown
    assert "epochs: 2\n" in shown
    assert "--set" not in shown


def test_nothing_is_created_by_looking(service: Served, tmp_path: Path) -> None:
    before = service.state()
    check(service, EXAMPLE, part="budget.trials", value="3")
    assert service.state() == before


def test_what_is_no_change_is_refused(service: Served) -> None:
    answer = service.client.post(f"{service.url}/launch/check", json={"document": 3})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid-request"
