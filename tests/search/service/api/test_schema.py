"""The schema keeps its word: no answer that it does not name, whatever is asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from search.database.store import Store
from search.service.api.app import create_app
from search.service.api.context import Service
from search.service.api.settings import Settings
from tests.search.installations import empty_mlflow
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import TOLD, tell
from tests.search.service.api.world import LAUNCH

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

EVERYWHERE = {"400", "401", "403", "404", "409", "413", "415", "421", "422", "429", "503"}


def described() -> dict[str, Any]:
    """Return the schema, without a service."""
    nowhere = Store("sqlite://")
    app = create_app(Service(fresh(Path("/nowhere")), nowhere, Settings()))
    nowhere.close()
    schema: dict[str, Any] = app.openapi()
    return schema


SCHEMA = described()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
}
AnyCase = Case[Any]

ENDLESS = "GET /api/v1/jobs/{job}/events"
"""A job that waits is followed until somebody stops it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = fresh(tmp_path_factory.mktemp("schema"))
    home.create()
    home.tracking_path.write_bytes(empty_mlflow())
    with serving(home, Settings(refusals_a_minute=10_000)) as served:
        tell(served)
        yield served


@pytest.fixture(scope="module")
def openapi(service: Served) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{service.url}/api/v1/openapi.json")


def asks(operation: APIOperation[Any, Any, Any, Any]) -> Any:
    """Return the strategy of valid and invalid requests, some of them about a job that there is."""
    valid = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.path_parameters or operation.query or operation.body):
        return valid
    invalid = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    if "{job}" not in operation.path or operation.method == "delete":
        return st.one_of(valid, invalid)

    def of_job(case: AnyCase) -> AnyCase:
        case.path_parameters["job"] = TOLD
        return case

    return st.one_of(valid, invalid, valid.map(of_job), invalid.map(of_job))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != ENDLESS])
def test_whatever_is_asked_is_answered_as_the_schema_says(
    service: Served, openapi: BaseSchema, name: str
) -> None:
    method, path = name.split(" ")
    operation = openapi[path][method]

    @settings(
        max_examples=3 if path.endswith("/doctor") else 20,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=asks(operation))
    def ask(case: AnyCase) -> None:
        # Longer than the ten seconds of schemathesis: the doctor is a process that must start.
        case.validate_response(case.call(session=service.client, timeout=120), checks=CHECKS)

    ask()


def test_answers_that_no_single_request_gets_are_in_the_schema(
    service: Served, openapi: BaseSchema
) -> None:
    launch, events = "POST /api/v1/jobs", ENDLESS
    for status in (201, 200):
        answer = service.ask("POST", "/jobs", json=LAUNCH, headers={"Idempotency-Key": "schema"})
        assert answer.status_code == status
        kept(openapi, launch, answer)
    job_id = answer.json()["id"]
    assert service.ask("POST", f"/jobs/{job_id}/stop").status_code == 202
    for since, status in ((None, 200), ("1", 204)):
        headers = {} if since is None else {"Last-Event-ID": since}
        answer = service.ask("GET", f"/jobs/{job_id}/events", headers=headers)
        assert answer.status_code == status
        kept(openapi, events, answer)


def kept(openapi: BaseSchema, name: str, answer: requests.Response) -> None:
    """Check that the schema has an answer."""
    method, path = name.split(" ")
    assert str(answer.status_code) in OPERATIONS[name]["responses"]
    openapi[path][method].validate_response(answer)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"].rstrip().endswith(".")
    assert operation["tags"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_is_in_the_schema_and_has_the_one_shape(name: str) -> None:
    answers = OPERATIONS[name]["responses"]
    errors = {status for status in answers if status >= "400"}
    assert errors >= (EVERYWHERE if "/api/" in name else {"421", "503"})
    for status in errors - ({"503"} if name == "GET /ready" else set()):
        shape = answers[status]["content"]["application/json"]["schema"]
        assert shape == {"$ref": "#/components/schemas/ErrorBody"}
        assert answers[status]["description"]


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        (name, kind, content)
        for name, operation in OPERATIONS.items()
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    ],
)
def test_every_body_has_an_example(name: str, kind: str, content: dict[str, Any]) -> None:
    assert OPERATIONS[name]["requestBody"]["required"]
    if kind == "application/octet-stream":
        assert content["schema"] == {"type": "string", "format": "binary"}
        return
    body = SCHEMA["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert body["additionalProperties"] is False
    for required in body["required"]:
        assert body["properties"][required]["examples"]


def test_the_example_of_a_document_is_a_job(service: Served) -> None:
    document = SCHEMA["components"]["schemas"]["JobRequest"]["properties"]["document"]
    for example in document["examples"]:
        assert service.ask("POST", "/check", json={"document": example}).status_code == 200


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
