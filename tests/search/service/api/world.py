"""People with tokens at a service on a network, and what a refusal must look like."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from search.service import tokens
from search.service.api.gate import HEADERS
from search.service.api.settings import Settings
from search.winner.fetching import FILES, champion_folder, replace_champion
from tests.search.conftest import DOCUMENT, add_job, finish_job, make_spec
from tests.search.service.api.served import AccessLog, Served

HOSTS = ("127.0.0.1", "gatetune.example")

WAITS, ENDED, FINISHED = "waits-0001", "ended-0001", "finished-0001"
"""Ada's jobs."""

LAUNCH = {"document": DOCUMENT}

Change = tuple[str, str, dict[str, Any]]
"""Method, path, and what else a request has."""

CHANGES: list[Change] = [
    ("POST", "/jobs", {"json": LAUNCH}),
    ("POST", f"/jobs/{WAITS}/stop", {}),
    ("POST", f"/jobs/{ENDED}/resume", {}),
    ("DELETE", f"/jobs/{ENDED}", {}),
    ("POST", f"/jobs/{ENDED}/doctor", {}),
    ("PUT", "/data/new.npz", {"data": b"new"}),
    ("DELETE", "/data/walks.npz", {}),
    ("POST", "/doctor", {}),
]

OF_ADA, OF_ADMINS = CHANGES[1:5], CHANGES[6:]
"""What only she may change, and what only admins may."""


Refusal = tuple[int, str] | tuple[int, str, str]
"""Status, code, and a part of the message."""


@dataclass
class World:
    """A service on a network, people with tokens, and what the gate logs."""

    served: Served
    tokens: dict[str, str]
    log: AccessLog

    def ask(self, who: str | None, method: str, path: str, **given: Any) -> requests.Response:
        """Make a request in somebody's name."""
        return self.served.ask(method, path, token=who and self.tokens[who], **given)

    def refuse(
        self, refusal: Refusal, who: str | None, method: str, path: str, **given: Any
    ) -> requests.Response:
        """Make a request, and check that it is refused in our shape, logged, and without effect."""
        status, code, *part = refusal
        before = self.served.state()
        answer = self.ask(who, method, path, **given)
        assert self.served.state() == before
        error = shape(answer)
        assert (answer.status_code, error["code"]) == (status, code), answer.text
        assert "".join(part) in error["message"] + str(error["faults"])
        record = self.log.of(error["request_id"])
        assert record.levelno == logging.WARNING
        assert record.getMessage().endswith(f": {status}")
        assert re.search(r"[\x00-\x1f\x7f]", record.getMessage()) is None
        assert not any(secret in str(vars(record)) for secret in self.tokens.values())
        return answer


def shape(answer: requests.Response) -> dict[str, Any]:
    """Return the error of an answer, after checking that it has the one shape."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"code", "message", "faults", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert_headers(answer)
    return error


def refused(answer: requests.Response, status: int, code: str, part: str) -> None:
    """Check that an answer is an error of this kind, and says so."""
    error = shape(answer)
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    assert part in error["message"]


def assert_headers(answer: requests.Response) -> None:
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert "server" not in answer.headers


def settings(**changed: Any) -> Settings:
    """A network's settings under which nobody is too many."""
    roomy: dict[str, Any] = {"requests_a_minute": 100_000, "refusals_a_minute": 100_000}
    return Settings(**{"host": "0.0.0.0", "hosts": HOSTS} | roomy | changed)  # noqa: S104


def settle(served: Served) -> dict[str, str]:
    """Give a service people, Ada's jobs and data; return the tokens."""
    people = {"viewer": "view", "bob": "launch", "ada": "launch", "admin": "admin"}
    known = {name: served.token(name, role) for name, role in people.items()}
    known["revoked"] = served.token("ada", "admin")
    tokens.revoke(served.store, known["revoked"].split("_")[1])
    add_job(served.store, make_spec(), WAITS, owner="ada", status="queued", supervised=True)
    add_job(served.store, make_spec(), ENDED, owner="ada", status="stopped")
    add_job(served.store, make_spec(), FINISHED, owner="ada")
    finish_job(served.store, FINISHED)
    folder = champion_folder(served.home, FINISHED)
    replace_champion(folder, {name: name.encode() for name in FILES})
    uploads = served.home.data / "uploads"
    uploads.mkdir(parents=True)
    (uploads / "walks.npz").write_text("walks")
    (served.home.path / "secret").write_text("secret")
    (uploads / "link.npz").symlink_to(served.home.path / "secret")
    return known


FORGED: dict[str, Callable[[World], str]] = {
    "another secret": lambda world: world.tokens["ada"][:-1] + "~",
    "one sign less": lambda world: world.tokens["ada"][:-1],
    "one sign more": lambda world: world.tokens["ada"] + "x",
    "another's id": lambda world: "_".join(
        ["gt", world.tokens["bob"].split("_")[1], world.tokens["ada"].split("_", 2)[2]]
    ),
    "its digest": lambda world: "gt_" + world.tokens["ada"].split("_")[1] + "_"
    + tokens.digest(world.tokens["ada"].split("_", 2)[2]),
    "no secret": lambda world: "_".join(world.tokens["ada"].split("_")[:2]) + "_",
    "revoked": lambda world: world.tokens["revoked"],
    "capitals": lambda world: world.tokens["ada"].upper(),
    "unknown": lambda _: "gt_00000000_secret",
    "SQL": lambda _: "gt_' OR 1=1 --_x",
    "a word": lambda _: "secret",
    "underscores": lambda _: "gt__",
    "not ASCII": lambda _: "gt_1_\xe9\xff",
    "very long": lambda _: "gt_1_" + "x" * 10_000,
}  # fmt: skip
"""Texts that are nobody's token."""
