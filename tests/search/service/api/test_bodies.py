"""Bodies that are too long, no job, or a job that would cost too much."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.jobs.submission import MOST_CHARACTERS
from search.service.api.settings import Settings
from tests.search.conftest import DOCUMENT
from tests.search.service.api.served import AccessLog, fresh, serving
from tests.search.service.api.world import LAUNCH, World


def pieces(size: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(size // 100):
        yield b"x" * 100
    yield b"x" * (size % 100)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, log: AccessLog) -> Iterator[World]:
    """A service that takes bodies of 1,000 bytes, and files of 3,000."""
    home = fresh(tmp_path_factory.mktemp("narrow"))
    with serving(home, Settings(body_bytes=1000, upload_bytes=3000)) as served:
        yield World(served, {}, log)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [("POST", "/jobs", 1000), ("POST", "/check", 1000), ("POST", "/session", 1000),
     ("PUT", "/data/new.npz", 3000)],
)  # fmt: skip
def test_a_body_that_is_too_long(
    narrow: World, method: str, path: str, limit: int, announced: bool
) -> None:
    body = b"x" * (limit + 1) if announced else pieces(limit + 1)
    kind = {"Content-Type": "application/octet-stream" if method == "PUT" else "application/json"}
    narrow.refuse(
        (413, "too-large", f"at most {limit} bytes"), None, method, path, data=body, headers=kind
    )


@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs"), ("PUT", "/data/new.npz")])
def test_nobody_has_to_send_what_is_too_long(narrow: World, method: str, path: str) -> None:
    head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999999\r\n"
    kind = "json" if method == "POST" else "octet-stream"
    request = f"{head}Content-Type: application/{kind}\r\nConnection: close\r\n\r\n"
    status, body = narrow.served.raw(request.encode())
    assert (status, json.loads(body)["error"]["code"]) == (413, "too-large")


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_as_long_as_may_be(narrow: World, announced: bool) -> None:
    document = json.dumps({"document": DOCUMENT})
    body = document + " " * (1000 - len(document))
    sent: Any = body.encode() if announced else iter([body[:500].encode(), body[500:].encode()])
    answer = narrow.ask(
        None, "POST", "/check", data=sent, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    name = f"whole-{announced}.npz"
    whole: Any = b"x" * 3000 if announced else pieces(3000)
    answer = narrow.ask(None, "PUT", f"/data/{name}", data=whole)
    assert (answer.status_code, answer.json()["size_bytes"]) == (201, 3000)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 422, "invalid-request"),
        (b"", "application/json", 422, "invalid-request"),
        (b"[]", "application/json", 422, "invalid-request"),
        (b"null", "application/json", 422, "invalid-request"),
        (b"{}", "application/json", 422, "invalid-request"),
        (b'{"document": 1}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: 1", "owner": "admin"}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: 1", "set": "b=1"}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: 1", "priority": 11}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: 1", "priority": true}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: 1", "priority": "1"}', "application/json", 422, "invalid-request"),
        (b'{"document": "a: \\u0000"}', "application/json", 422, "invalid-document"),
        (b'{"document": {"\\ud800": 1}}', "application/json", 422, "invalid-document"),
        (
            b'{"document": "a: 1", "set": ["\\ud800=1"]}',
            "application/json",
            422,
            "invalid-document",
        ),
        (b'{"document": "a: 1", "\\ud800": 1}', "application/json", 422, "invalid-request"),
        (b'{"document": "\xff"}', "application/json", 400, "bad-request"),
        (b'{"document": ' + b"[" * 50_000, "application/json", 400, "bad-request"),
        (b'{"document": {"seed": ' + b"1" * 5000 + b"}}", "application/json", 400, "bad-request"),
        (b"\x00", "application/json", 422, "invalid-request"),
        (json.dumps(LAUNCH).encode(), "text/plain", 422, "invalid-request"),
        (json.dumps(LAUNCH).encode(), "application/x-www-form-urlencoded", 422, "invalid-request"),
        (json.dumps(LAUNCH).encode(), "multipart/form-data; boundary=x", 422, "invalid-request"),
        (json.dumps(LAUNCH).encode(), "", 422, "invalid-request"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_no_job(
    network: World, body: bytes, kind: str, status: int, code: str
) -> None:
    network.refuse(
        (status, code), "ada", "POST", "/jobs", data=body, headers={"Content-Type": kind}
    )


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "x"])
def test_a_file_of_another_content_type(network: World, kind: str) -> None:
    network.refuse(
        (415, "unsupported-media-type", "must be application/octet-stream"),
        "ada",
        "PUT",
        "/data/new.npz",
        data=b"x",
        headers={"Content-Type": kind},
    )


def bomb(first: str, level: str) -> str:
    """A text in which each of nine levels repeats the one before twenty times."""
    levels = [f"&{n + 1} " + level.format(",".join([f"*{n}"] * 20)) for n in range(9)]
    return f"[&0 {first},{','.join(levels)}]"


BOMBS = {
    "laughs": bomb("[1, 1]", "[{}]"),
    "merges": bomb("{a: 1}", "{{<<: [{}]}}"),
    "a circle": "&a [*a]",
    "a circle of merges": "&a {<<: *a}",
    "depth": "[" * 600,
    "length": "a" * MOST_CHARACTERS,
    "a long number": "1" * 5000,
    "a large number": "0x" + "f" * 5000,
    "a number of many parts": "1" + ":1" * 400 + ".5",
    "infinity": ".inf",
    "a Python object": "!!python/object/apply:os.system ['true']",
    "a Python name": "!!python/name:os.system",
    "a file's text": "!include /etc/passwd",
}  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("path", ["/jobs", "/check"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_document_that_would_cost_too_much_or_do_something(
    network: World, name: str, path: str
) -> None:
    data = "data: {source: digits}\n"
    for body in (
        {"document": f"{data}seed: {BOMBS[name]}\n"},
        {"document": data, "set": [f"seed={BOMBS[name]}"]},
    ):
        network.refuse((422, "invalid-document"), "ada", "POST", path, json=body)


@pytest.mark.parametrize("depth", [150, 400, 900])
def test_a_mapping_that_is_nested_too_deep(network: World, depth: int) -> None:
    body = '{"document": {"space": ' + '{"a": ' * depth + "1" + "}" * depth + "}}"
    headers = {"Content-Type": "application/json"}
    network.refuse((422, "invalid-document"), "ada", "POST", "/jobs", data=body, headers=headers)


@pytest.mark.parametrize(
    "source",
    ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:5000/x",
     "https://evil.example/x.npz", "s3://bucket/x", "\\\\evil\\share", "uploads/../../secret",
     "walks.npz/../../../secret", "link.npz", "C:\\x.npz", "~/.ssh/id_rsa", "digits\n", "a b"],
)  # fmt: skip
def test_data_from_where_the_service_alone_may_read(network: World, source: str) -> None:
    body = {"document": {"data": {"source": source}}}
    network.refuse((422, "invalid-document", "data.source"), "ada", "POST", "/jobs", json=body)


def test_a_job_of_more_trials_than_the_service_takes(tmp_path: Path, log: AccessLog) -> None:
    with serving(fresh(tmp_path), Settings(trials_a_job=6 + 3 * 5)) as served:
        world = World(served, {}, log)
        world.refuse(
            (
                422,
                "invalid-document",
                "must be at most 21 trials and confirming runs together on this service, but got 7",
            ),
            None,
            "POST",
            "/jobs",
            json=LAUNCH | {"set": ["budget.trials=7"]},
        )
        assert served.ask("POST", "/jobs", json=LAUNCH).status_code == 201
