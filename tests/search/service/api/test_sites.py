"""From where a request may come: hosts, other sites' pages, cookies; and headers of answers."""

import json
import re
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import pytest
import requests
from starlette.datastructures import Headers

from search.service import tokens
from search.service.api.gate import CSRF, CSRF_HEADER, HEADERS, OPEN_PATHS, SESSION, cookie_names
from tests.search.conftest import add_job, make_spec
from tests.search.service.api.served import AccessLog, Served, fresh, serving
from tests.search.service.api.world import (
    CHANGES,
    ENDED,
    FINISHED,
    FORGED,
    LAUNCH,
    Change,
    World,
    assert_headers,
    settings,
)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "gatetune.example.evil.example", "127.0.0.1.evil.example", "evil.example:8765",
     "xgatetune.example", "gatetune.example.", "[", "[::1", "[::1]", "a b", "\xe9", ",", "0"],
)  # fmt: skip
def test_a_request_for_another_host(network: World, host: str) -> None:
    network.refuse(
        (421, "foreign-host", "GATETUNE_HOSTS names what it is"),
        "ada",
        "POST",
        "/jobs",
        json=LAUNCH,
        headers={"Host": host},
    )


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_no_path_is_open_to_another_host(network: World, path: str) -> None:
    network.refuse(
        (421, "foreign-host"),
        None,
        "GET",
        path.removeprefix("/api/v1"),
        headers={"Host": "evil.example"},
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "GateTune.Example:443"])
def test_the_port_and_the_case_of_a_host_do_not_matter(network: World, host: str) -> None:
    assert network.ask("viewer", "GET", "/jobs", headers={"Host": host}).status_code == 200


def test_a_request_without_a_host(network: World) -> None:
    before = network.served.state()
    status, body = network.served.raw(b"GET /api/v1/jobs HTTP/1.0\r\n\r\n")
    assert (status, json.loads(body)["error"]["code"]) == (421, "foreign-host")
    status, _ = network.served.raw(b"GET /api/v1/jobs HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert status == 400
    assert network.served.state() == before


def test_two_hosts_are_none(network: World) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"
    assert network.served.raw(request)[0] == 400


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("change", CHANGES[:2], ids=lambda change: change[1])
def test_a_page_of_another_site_changes_nothing(
    network: World, change: Change, headers: dict[str, str]
) -> None:
    method, path, given = change
    network.refuse(
        (403, "cross-site", "a page of another site may not change anything here"),
        "admin",
        method,
        path,
        headers=headers,
        **given,
    )


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_page_of_ours_may(network: World, site: str) -> None:
    headers = {"Origin": network.served.url, "Sec-Fetch-Site": site}
    assert network.ask("ada", "POST", "/check", json=LAUNCH, headers=headers).status_code == 200


def log_in(served: Served, token: str) -> dict[str, "Morsel[str]"]:
    """Return the cookies that a login gives."""
    answer = served.ask("POST", "/session", json={"token": token})
    assert (answer.status_code, answer.content) == (204, b"")
    return cookies_of(answer)


def cookies_of(answer: requests.Response) -> dict[str, "Morsel[str]"]:
    found: SimpleCookie = SimpleCookie()
    for line in answer.raw.headers.getlist("set-cookie"):
        found.load(line)
    return dict(found)


def as_header(cookies: dict[str, "Morsel[str]"]) -> str:
    return "; ".join(f"{name}={one.value}" for name, one in cookies.items())


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookies_of_a_login(tmp_path: Path, secure: bool) -> None:
    with serving(fresh(tmp_path), settings(secure=secure)) as served:
        token = served.token("ada", "launch")
        cookies = log_in(served, token)
        assert cookies.keys() == {served.session, served.csrf}
        for name, cookie in cookies.items():
            assert cookie["samesite"] == ("lax" if name == served.session else "strict")
            assert cookie["path"] == "/"
            assert cookie["domain"] == ""
            assert bool(cookie["secure"]) is secure
            assert bool(cookie["httponly"]) is (name == served.session)
        assert cookies[served.session].value == token
        first = cookies[served.csrf].value
        assert len(first) >= 43
        assert log_in(served, token)[served.csrf].value != first


def test_on_loopback_the_cookie_of_an_earlier_service_locks_nobody_out(tmp_path: Path) -> None:
    with serving(fresh(tmp_path)) as served:
        cookie = {"Cookie": f"{served.session}=gt_0123abcd_of-another-service"}
        assert served.ask("GET", "/jobs", headers=cookie).status_code == 200
        wrong = {"Authorization": "Bearer gt_0123abcd_wrong"}
        assert served.ask("GET", "/jobs", headers=wrong).status_code == 401
        proxied = cookie | {"X-Forwarded-For": "10.0.0.1"}
        assert served.ask("GET", "/jobs", headers=proxied).status_code == 401


@pytest.mark.parametrize(
    ("host", "port"),
    [("tune.example", ""), ("tune.example:8080", "_8080"), ("[::1]:80", "_80"), ("[::1]", ""),
     ("a:b", ""), ("", "")],
)  # fmt: skip
def test_each_port_of_a_host_has_cookies_of_its_own(host: str, port: str) -> None:
    assert cookie_names(Headers({"host": host})) == (SESSION + port, CSRF + port)


def test_a_page_reads_with_its_cookie(network: World) -> None:
    cookie = as_header(log_in(network.served, network.tokens["ada"]))
    assert network.ask(None, "GET", "/jobs", headers={"Cookie": cookie}).status_code == 200


@pytest.mark.parametrize("other", ['prefs={"theme":"dark"}', "x=a b", "a[b]=1", "foo"])
def test_cookies_of_others_on_the_host_lock_nobody_out(network: World, other: str) -> None:
    cookie = f"{other}; {as_header(log_in(network.served, network.tokens['ada']))}"
    assert network.ask(None, "GET", "/jobs", headers={"Cookie": cookie}).status_code == 200


def test_a_page_changes_with_its_cookie_and_its_header(network: World) -> None:
    cookies = log_in(network.served, network.tokens["ada"])
    headers = {"Cookie": as_header(cookies), CSRF_HEADER: cookies[network.served.csrf].value}
    answer = network.ask(None, "POST", "/check", json=LAUNCH, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("given", [None, "", "x", "another's"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(change[:2]))
def test_a_cookie_without_its_header_changes_nothing(
    network: World, change: Change, given: str | None
) -> None:
    method, path, body = change
    other = log_in(network.served, network.tokens["admin"])[network.served.csrf].value
    headers = {"Cookie": as_header(log_in(network.served, network.tokens["admin"]))}
    if given is not None:
        headers[CSRF_HEADER] = other if given == "another's" else given
    network.refuse(
        (403, "cross-site", f"{CSRF_HEADER} must repeat {network.served.csrf}"),
        None,
        method,
        path,
        headers=headers,
        **body,
    )


def test_a_cookie_alone_with_an_empty_pair_changes_nothing(network: World) -> None:
    session, csrf = network.served.cookie_names
    headers = {"Cookie": f"{session}={network.tokens['admin']}; {csrf}=", CSRF_HEADER: ""}
    network.refuse((403, "cross-site"), None, "POST", "/jobs", json=LAUNCH, headers=headers)


@pytest.mark.parametrize(
    "cookie", ["SESSION=gt_00000000_x", "SESSION=", "CSRF=x", '"', "a=b; ;;=", "\xff=\xfe"]
)
def test_a_cookie_that_is_no_session(network: World, cookie: str) -> None:
    session, csrf = network.served.cookie_names
    cookie = cookie.replace("SESSION", session).replace("CSRF", csrf)
    headers = {"Cookie": cookie.encode("latin-1")}
    network.refuse((401, "token-needed"), None, "GET", "/jobs", headers=headers)


def test_a_revoked_token_ends_its_session(tmp_path: Path, log: AccessLog) -> None:
    with serving(fresh(tmp_path), settings()) as served:
        token = served.token("ada", "launch")
        headers = {"Cookie": as_header(log_in(served, token))}
        assert served.ask("GET", "/jobs", headers=headers).status_code == 200
        tokens.revoke(served.store, token.split("_")[1])
        World(served, {"ada": token}, log).refuse(
            (401, "token-needed"), None, "GET", "/jobs", headers=headers
        )


@pytest.mark.parametrize("forged", FORGED)
def test_nobody_logs_in_with_a_token_that_is_none(network: World, forged: str) -> None:
    text = FORGED[forged](network)
    answer = network.refuse((401, "token-needed"), None, "POST", "/session", json={"token": text})
    assert "set-cookie" not in answer.headers


def test_a_page_of_another_site_logs_nobody_out(network: World) -> None:
    network.refuse((403, "cross-site"), None, "DELETE", "/session", headers=FOREIGN[0])


def test_a_page_of_another_site_logs_nobody_in(network: World) -> None:
    body = {"token": network.tokens["ada"]}
    network.refuse((403, "cross-site"), None, "POST", "/session", json=body, headers=FOREIGN[0])


@pytest.mark.parametrize("who", ["ada", "revoked"])
def test_a_logout_forgets_the_cookies(network: World, who: str) -> None:
    session, csrf = network.served.cookie_names
    headers = {"Cookie": f"{session}={network.tokens[who]}"}
    answer = network.ask(None, "DELETE", "/session", headers=headers)
    assert answer.status_code == 204
    assert {(name, one.value, one["max-age"]) for name, one in cookies_of(answer).items()} == {
        (session, "", "0"), (csrf, "", "0")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/jobs", 200),
        ("GET", f"/jobs/{ENDED}/events", 200),
        ("GET", f"/jobs/{FINISHED}/artifacts/README.md", 200),
        ("GET", "/nothing", 404),
        ("PATCH", "/jobs", 405),
        ("BREW", "/jobs", 405),
        ("HEAD", "/jobs", 200),
        ("OPTIONS", "/jobs", 405),
    ],
)
def test_every_answer_has_the_headers_of_a_careful_service(
    network: World, method: str, path: str, status: int
) -> None:
    answer = network.ask("viewer", method, path)
    assert answer.status_code == status
    assert_headers(answer)
    assert "access-control-allow-origin" not in answer.headers


def test_the_policy_lets_a_page_load_from_here_alone() -> None:
    policy = HEADERS["content-security-policy"]
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert not re.search(r"unsafe|\*|https?:", policy)
    assert HEADERS["x-content-type-options"] == "nosniff"


def test_a_fault_of_the_service_tells_nothing_but_where_the_log_has_it(
    tmp_path: Path,
    log: AccessLog,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("the secret reason")

    with serving(fresh(tmp_path)) as served:
        add_job(served.store, make_spec(), owner="ada")
        monkeypatch.setattr("search.jobs.jobs.show_trials", broken)
        answer = World(served, {}, log).refuse(
            (500, "internal-error", "the service failed; see its log"),
            None,
            "GET",
            "/jobs/tiny/trials",
        )
        assert "secret" not in answer.text
        assert served.ask("GET", "/jobs/tiny").status_code == 200
    (record,) = [one for one in caplog.records if one.name == "gatetune.api"]
    assert vars(record)["request"] == answer.headers["x-request-id"]
    assert record.exc_info is not None
    assert "the secret reason" in str(record.exc_info[1])
