"""Who may pass the gate, and how often; what is refused changes nothing."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.service import tokens
from search.service.api import events
from search.service.api.gate import OPEN_PATHS, SESSION_PATH
from tests.search.conftest import add_job, make_spec, set_job
from tests.search.service.api.served import AccessLog, Served, fresh, serving
from tests.search.service.api.world import (
    CHANGES,
    ENDED,
    FINISHED,
    FORGED,
    LAUNCH,
    OF_ADA,
    OF_ADMINS,
    WAITS,
    Change,
    World,
    settings,
)


def routes(served: Served) -> Iterator[tuple[str, str]]:
    """Every route that is not open to all, with something in the place of its parameters."""
    for path, methods in served.ask("GET", "/openapi.json").json()["paths"].items():
        for method in methods:
            if path not in (*OPEN_PATHS, SESSION_PATH):
                yield method.upper(), re.sub(r"\{.*?\}", "1", path.removeprefix("/api/v1"))


def test_no_route_answers_without_a_token(network: World) -> None:
    asked = list(routes(network.served))
    assert len(asked) > 15
    for method, path in asked:
        answer = network.refuse(
            (401, "token-needed", "a token is needed: `Authorization: Bearer gt_…`"),
            None,
            method,
            path,
        )
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_what_tells_of_nobody_needs_no_token(network: World, path: str) -> None:
    assert network.ask(None, "GET", path.removeprefix("/api/v1")).status_code == 200


@pytest.mark.parametrize("forged", FORGED)
def test_a_token_that_is_none(network: World, forged: str) -> None:
    text = FORGED[forged](network)
    headers = {"Authorization": f"Bearer {text}".encode("latin-1")}
    network.refuse(
        (401, "token-needed", "the token is not valid; it may have been revoked"),
        None,
        "POST",
        "/jobs",
        json=LAUNCH,
        headers=headers,
    )


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic YTpi", "Token x", "gt_1_x", "Digest a=b, Bearer x"]
)
def test_an_authorization_of_another_kind(network: World, header: str) -> None:
    network.refuse(
        (401, "token-needed", "a token is needed"),
        None,
        "GET",
        "/jobs",
        headers={"Authorization": header},
    )


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(change[:2]))
def test_a_viewer_changes_nothing(network: World, change: Change) -> None:
    method, path, given = change
    network.refuse((403, "role-needed", "but the token has view"), "viewer", method, path, **given)


@pytest.mark.parametrize("change", OF_ADA, ids=lambda change: " ".join(change[:2]))
def test_nobody_changes_the_job_of_another(network: World, change: Change) -> None:
    method, path, given = change
    network.refuse(
        (403, "not-yours", "belongs to ada; an admin may do it"), "bob", method, path, **given
    )


@pytest.mark.parametrize("change", OF_ADMINS, ids=lambda change: " ".join(change[:2]))
def test_what_is_everybodys_only_an_admin_changes(network: World, change: Change) -> None:
    method, path, given = change
    network.refuse(
        (403, "role-needed", "this needs the role admin, but the token has launch"),
        "ada",
        method,
        path,
        **given,
    )


@pytest.mark.parametrize("who", ["ada", "admin"])
def test_an_owner_and_an_admin_may(tmp_path: Path, who: str) -> None:
    with serving(fresh(tmp_path), settings()) as served:
        token = served.token(who, "admin" if who == "admin" else "launch")
        job = served.ask("POST", "/jobs", token=served.token("ada", "launch"), json=LAUNCH).json()
        assert job["owner"] == "ada"
        for action in ("stop", "resume", "stop"):
            answer = served.ask("POST", f"/jobs/{job['id']}/{action}", token=token)
            assert answer.status_code == 202, answer.text


def test_only_an_admin_lets_all_jobs_be_examined(network: World) -> None:
    for who in ("viewer", "ada"):
        network.refuse((403, "role-needed", "this needs the role admin"), who, "GET", "/doctor")
    assert network.ask("admin", "GET", "/doctor").status_code == 200


def test_a_viewer_reads_what_belongs_to_others(network: World) -> None:
    listed = network.ask("viewer", "GET", "/jobs").json()["jobs"]
    assert {(job["id"], job["owner"]) for job in listed} == {
        (WAITS, "ada"), (ENDED, "ada"), (FINISHED, "ada")
    }  # fmt: skip


def test_on_loopback_nobody_needs_a_token_and_a_wrong_one_is_refused(
    tmp_path: Path, log: AccessLog
) -> None:
    with serving(fresh(tmp_path)) as served:
        world = World(served, {"viewer": served.token("viewer", "view")}, log)
        assert served.ask("POST", "/jobs", json=LAUNCH).status_code == 201
        for header in ("Bearer gt_00000000_x", "Bearer ", "Basic YTpi"):
            world.refuse(
                (401, "token-needed"),
                None,
                "POST",
                "/jobs",
                json=LAUNCH,
                headers={"Authorization": header},
            )
        world.refuse((403, "role-needed"), "viewer", "POST", "/jobs", json=LAUNCH)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_what_a_proxy_brings_to_loopback_needs_a_token(
    tmp_path: Path, log: AccessLog, header: str
) -> None:
    with serving(fresh(tmp_path)) as served:
        world = World(served, {"ada": served.token("ada", "launch")}, log)
        brought = {"headers": {header: "for=192.0.2.7"}}
        world.refuse((401, "token-needed"), None, "POST", "/jobs", json=LAUNCH, **brought)
        assert world.ask("ada", "POST", "/jobs", json=LAUNCH, **brought).status_code == 201


def test_an_owner_that_asks_too_often_waits_and_others_do_not(
    tmp_path: Path, log: AccessLog
) -> None:
    with serving(fresh(tmp_path), settings(requests_a_minute=3)) as served:
        people = {"ada": "ada", "ada's other": "ada", "bob": "bob"}
        known = {name: served.token(owner, "launch") for name, owner in people.items()}
        world = World(served, known, log)
        assert [world.ask("ada", "GET", "/jobs").status_code for _ in range(3)] == [200] * 3
        for who in ("ada", "ada's other"):
            answer = world.refuse(
                (429, "too-many-requests", "at most 3 requests a minute"),
                who,
                "POST",
                "/jobs",
                json=LAUNCH,
            )
            assert answer.headers["retry-after"] == "60"
        assert world.ask("bob", "GET", "/jobs").status_code == 200
        assert served.ask("GET", "/ready").status_code == 200


def test_an_address_without_a_token_that_asks_too_often_waits(
    tmp_path: Path, log: AccessLog
) -> None:
    with serving(fresh(tmp_path), settings(requests_a_minute=3)) as served:
        world = World(served, {"ada": served.token("ada", "launch")}, log)
        paths = ("/health", "/ready", "/metrics")
        assert [world.ask(None, "GET", path).status_code for path in paths] == [200] * 3
        for method, path in (("GET", "/metrics"), ("POST", "/session"), ("DELETE", "/session")):
            world.refuse((429, "too-many-requests"), None, method, path)
        assert world.ask("ada", "GET", "/jobs").status_code == 200


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YWRhOmFkYQ=="}])
def test_what_needs_a_token_and_has_none_is_counted_too(
    tmp_path: Path, log: AccessLog, header: dict[str, str]
) -> None:
    with serving(fresh(tmp_path), settings(requests_a_minute=3)) as served:
        world = World(served, {"ada": served.token("ada", "launch")}, log)
        codes = [world.ask(None, "GET", "/jobs", headers=header).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        assert world.ask("ada", "GET", "/jobs").status_code == 200


def test_an_owner_has_so_many_streams_at_once(tmp_path: Path, log: AccessLog) -> None:
    with serving(fresh(tmp_path), settings(streams=2)) as served:
        world = World(served, {name: served.token(name, "view") for name in ("ada", "bob")}, log)
        add_job(served.store, make_spec(), WAITS, status="queued", supervised=True)
        path = f"/jobs/{WAITS}/events"
        first, second = (world.ask("ada", "GET", path, stream=True) for _ in range(2))
        world.refuse((429, "too-many-requests", "at most 2 streams at once"), "ada", "GET", path)
        with world.ask("bob", "GET", path, stream=True) as third:
            assert third.status_code == 200
        log.of(third.headers["x-request-id"])
        first.close()
        log.of(first.headers["x-request-id"])
        with second, world.ask("ada", "GET", path, stream=True) as third:
            assert third.status_code == 200


def test_a_stream_ends_with_the_token_that_began_it(
    tmp_path: Path, log: AccessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ASK_S", 0.0)
    with serving(fresh(tmp_path), settings()) as served:
        world = World(served, {"ada": served.token("ada", "view")}, log)
        add_job(served.store, make_spec(), WAITS, status="queued", supervised=True)
        with world.ask("ada", "GET", f"/jobs/{WAITS}/events", stream=True) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith(b"id: ")
            (token,) = tokens.listed(served.store)
            tokens.revoke(served.store, token["id"])
            set_job(served.store, WAITS, message="said later", revision=7)
            assert not any(b"said later" in line for line in lines)


def test_who_guesses_tokens_is_not_heard_any_more(tmp_path: Path, log: AccessLog) -> None:
    with serving(fresh(tmp_path), settings(refusals_a_minute=2)) as served:
        known = {"ada": served.token("ada", "launch"), "guess": "gt_0_x"}
        world = World(served, known, log)
        for _ in range(2):
            world.refuse((401, "token-needed"), "guess", "GET", "/jobs")
        answer = world.refuse(
            (429, "too-many-requests", "too many wrong tokens from this address"),
            "guess",
            "GET",
            "/jobs",
        )
        assert answer.headers["retry-after"] == "60"
        assert world.ask("ada", "POST", "/jobs", json=LAUNCH).status_code == 201
        assert served.ask("GET", "/health").status_code == 200


def test_logins_cannot_be_guessed_either(tmp_path: Path, log: AccessLog) -> None:
    with serving(fresh(tmp_path), settings(refusals_a_minute=2)) as served:
        world = World(served, {"ada": served.token("ada", "launch")}, log)
        for token, status, code in (
            ("gt_0_x", 401, "token-needed"),
            ("gt_0_y", 401, "token-needed"),
            (world.tokens["ada"], 429, "too-many-requests"),
        ):
            world.refuse((status, code), None, "POST", "/session", json={"token": token})
        assert world.ask("ada", "GET", "/jobs").status_code == 200


def test_logins_that_succeed_are_no_guesses(tmp_path: Path) -> None:
    with serving(fresh(tmp_path), settings(refusals_a_minute=2)) as served:
        login = {"token": served.token("ada", "launch")}
        answers = [served.ask("POST", "/session", json=login) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [204] * 4


def test_methods_that_clients_make_up_are_counted_as_one(network: World) -> None:
    for method in ("BREW", "BREW2"):
        network.ask("viewer", method, "/jobs")
    counted = network.ask(None, "GET", "/metrics").text
    assert 'gatetune_http_requests_total{method="other",status="405"}' in counted
    assert "BREW" not in counted


def test_what_passes_is_logged_with_its_owner(network: World) -> None:
    answer = network.ask("bob", "GET", "/jobs?name=%0a")
    record = network.log.of(answer.headers["x-request-id"])
    assert record.getMessage() == "GET /api/v1/jobs: 200"
    said = vars(record)
    assert (record.levelno, said["owner"], said["address"]) == (logging.INFO, "bob", "127.0.0.1")
    assert said["took_ms"] > 0


def test_a_head_is_that_of_the_answer(network: World) -> None:
    whole, head = (network.ask("viewer", method, "/jobs") for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in ("content-type", "content-length")] == [
        "application/json",
        str(len(whole.content)),
    ]
    assert network.ask(None, "HEAD", "/jobs").status_code == 401


def test_a_stream_has_no_head(network: World) -> None:
    assert network.ask("viewer", "HEAD", f"/jobs/{FINISHED}/events").status_code == 405
