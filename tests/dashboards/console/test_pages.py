"""Pages as any client gets them: who may see what, errors as pages, weight, nothing new."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from starlette.datastructures import Headers

from dashboards.console import models
from search.database.result import Result
from search.database.tables import Job
from search.service.api.gate import POLICY, cookie_names
from tests.dashboards.console.conftest import PAGES, RUNNING, Living
from tests.search.service.api.served import TIMEOUT_S, Served
from tests.search.service.api.stories import TOLD

HTML = {"accept": "text/html"}


def get(url: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
    session, _ = cookie_names(Headers({"host": urlsplit(url).netloc}))
    headers = HTML | ({"cookie": f"{session}={token}"} if token else {})
    return requests.get(
        f"{url}{path}", headers=headers, timeout=TIMEOUT_S, allow_redirects=False, **more
    )


@pytest.mark.parametrize("name", [name for name in PAGES if name != "missing"])
def test_a_page_is_light_whole_and_loads_nothing_from_elsewhere(shown: Living, name: str) -> None:
    answer = get(shown.url, PAGES[name])
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    loaded = re.findall(r'(?:src|href)="(/assets/[^"]+)"', answer.text)
    weight = len(answer.content) + sum(
        len(requests.get(shown.url + one, timeout=TIMEOUT_S).content)
        for one in loaded
        if "plotly.min.js" not in one
    )
    assert weight < 300_000
    assert not re.search(r'<(?:script|link)[^>]+"https?:', answer.text)
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script>", answer.text)


def test_who_is_not_known_is_led_to_the_login_and_back(guarded: Served) -> None:
    answer = get(guarded.url, f"/jobs/{TOLD}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=%2Fjobs%2F{TOLD}"
    assert get(guarded.url, "/login").status_code == 200
    assert requests.get(f"{guarded.url}/jobs/{TOLD}", timeout=TIMEOUT_S).status_code == 401


@pytest.mark.parametrize("role", ["view", "launch", "admin"])
@pytest.mark.parametrize("name", list(PAGES))
def test_a_role_sees_the_pages_that_it_may(guarded: Served, role: str, name: str) -> None:
    path = PAGES[name].replace(f"&job={RUNNING}", "").replace(RUNNING, TOLD)
    answer = get(guarded.url, path, guarded.token(role, role))
    expected = 404 if name == "missing" else 403 if name == "launch" and role == "view" else 200
    assert answer.status_code == expected
    assert "<h1" in answer.text


def test_where_no_model_is_who_may_launch_is_led_there(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "named", lambda *_: [])
    pages = {
        role: get(guarded.url, "/models", guarded.token("eve", role)).text
        for role in ("view", "launch")
    }
    assert all("No model yet" in text for text in pages.values())
    assert ["Launch a job" in text for text in pages.values()] == [False, True]


def test_a_page_offers_only_what_its_reader_may_do(guarded: Served) -> None:
    pages = {
        who: get(guarded.url, f"/jobs/{TOLD}", guarded.token(who, role)).text
        for who, role in (("eve", "view"), ("bob", "launch"), ("ada", "launch"), ("root", "admin"))
    }
    delete = f'hx-delete="/api/v1/jobs/{TOLD}"'
    assert [who for who, text in pages.items() if delete in text] == ["ada", "root"]
    assert [who for who, text in pages.items() if "Launch another" in text] == [
        "bob", "ada", "root",
    ]  # fmt: skip
    made = [
        "Make a token" in get(guarded.url, "/settings", guarded.token("x", role)).text
        for role in ("view", "launch", "admin")
    ]
    assert made == [False, False, True]


def test_a_job_says_what_its_winner_is_to_the_baseline(living: Living) -> None:
    with living.served.store.session() as session:
        job = session.get_one(Job, TOLD)
        unsure = Result.model_validate_json(job.result or "").model_copy(update={"chance": 0.5})
        job.result = unsure.to_json()
    page = get(living.url, f"/jobs/{TOLD}").text
    assert "; the winner does not surely beat the baseline</small>" in page


def test_an_error_is_a_page_to_a_browser_and_json_to_a_program(shown: Living) -> None:
    answer = get(shown.url, "/jobs/digts")
    assert answer.status_code == 404
    assert "text/html" in answer.headers["content-type"]
    assert "No job is called" in answer.text
    assert answer.headers["x-request-id"] in answer.text
    plain = requests.get(f"{shown.url}/jobs/digts", timeout=TIMEOUT_S)
    assert plain.json()["error"]["code"] == "job-not-found"
    api = get(shown.url, "/api/v1/jobs/digts")
    assert api.json()["error"]["code"] == "job-not-found"


def test_a_list_and_a_job_that_have_not_changed_are_not_sent_again(living: Living) -> None:
    for path, part in (("/", "/jobs"), (f"/jobs/{RUNNING}", f"/jobs/{RUNNING}/head")):
        seen = re.search(rf'hx-get="{part}\?seen=([^"]+)"', get(living.url, path).text)
        assert seen
        again = f"{part}?seen={seen[1]}"
        assert get(living.url, again).status_code == 204
        living.progress()
        answer = eventually_new(living, again)
        assert RUNNING in answer.text


def eventually_new(living: Living, path: str) -> requests.Response:
    """Ask until there is something new: what many ask for at once is read once a second."""
    deadline = time.monotonic() + TIMEOUT_S
    while (answer := get(living.url, path)).status_code == 204:
        assert time.monotonic() < deadline
    assert answer.status_code == 200
    return answer


def test_what_is_shown_is_never_called_newer_than_it_is(living: Living) -> None:
    get(living.url, f"/jobs/{RUNNING}")
    living.progress()
    shown = get(living.url, f"/jobs/{RUNNING}").text
    revision = int(re.search(r"head\?seen=(\d+)", shown)[1])  # type: ignore[index]
    epochs = 'value="1" aria-label="Epochs of trial 1"' in shown
    assert epochs or revision < living.served.read(RUNNING).revision


def test_an_error_names_no_other_host(shown: Living) -> None:
    prepared = requests.Request("GET", shown.url, headers=HTML).prepare()
    prepared.url = f"{shown.url}//evil.example/x"
    with requests.Session() as client:
        text = client.send(prepared, timeout=TIMEOUT_S).text
    assert 'href="/evil.example/x"' in text
    assert 'href="//' not in text


def test_the_way_back_from_a_login_keeps_the_question(guarded: Served) -> None:
    answer = get(guarded.url, f"/compare?job={TOLD}")
    assert answer.headers["location"] == f"/login?next=%2Fcompare%3Fjob%3D{TOLD}"


def test_where_mlflow_is_told_to_those_who_are_known(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded.service, "mlflow_url", "http://mlflow.example")
    assert "mlflow.example" not in get(guarded.url, "/login").text
    assert "mlflow.example" in get(guarded.url, "/", guarded.token("eve", "view")).text


def test_the_log_is_sent_when_there_is_more_of_it(living: Living) -> None:
    log = living.served.home.path / "logs" / f"{RUNNING}-driver.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text('{"message": "searching"}\n')
    text = get(living.url, f"/jobs/{RUNNING}/log").text
    assert "searching" in text
    again = re.search(r'hx-get="([^"]+log[^"]+)"', text)
    assert again
    assert get(living.url, again[1]).status_code == 204
    log.write_text('{"message": "searching"}\n{"message": "<b>confirming</b>"}\n')
    assert "&lt;b&gt;confirming" in get(living.url, again[1]).text


def test_a_job_that_ends_is_loaded_anew(living: Living) -> None:
    head = get(living.url, f"/jobs/{RUNNING}/head").text
    seen = re.search(r"head\?seen=([^\"]+)", head)
    assert seen
    living.lease.release()
    living.served.service.forget(RUNNING)
    answer = get(living.url, f"/jobs/{RUNNING}/head?seen={seen[1]}")
    assert answer.headers["hx-refresh"] == "true"


@pytest.mark.parametrize("name", ["curves", "history", "timeline"])
def test_a_picture_is_sent_once(shown: Living, name: str) -> None:
    path = f"/jobs/{TOLD}/pictures/{name}"
    first = get(shown.url, path)
    assert first.json()["data"]
    assert first.json()["summary"]
    headers = {"if-none-match": first.headers["etag"]}
    again = requests.get(f"{shown.url}{path}", headers=headers, timeout=TIMEOUT_S)
    assert (again.status_code, again.content) == (304, b"")


def test_there_is_no_other_picture(shown: Living) -> None:
    answer = requests.get(f"{shown.url}/jobs/{TOLD}/pictures/nothing", timeout=TIMEOUT_S)
    assert answer.status_code == 404
    assert "curves" in answer.json()["error"]["message"]


def test_optuna_dashboard_is_there_to_look_at_behind_the_login(
    guarded: Served, shown: Living
) -> None:
    assert get(guarded.url, "/dashboard").status_code == 303
    viewer = guarded.token("viewer", "view")
    answer = get(guarded.url, "/dashboard", viewer)
    assert "Optuna Dashboard" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    studies = get(shown.url, "/api/studies").json()["study_summaries"]
    assert {TOLD, RUNNING} <= {one["study_name"] for one in studies}
    assert get(shown.url, "/csv/99").status_code == 404
    number = studies[0]["study_id"]
    assert get(shown.url, f"/api/studies/{number}?after=0").json()["trials"]
    for method, path in (
        ("DELETE", f"/api/studies/{number}"),
        ("POST", f"/api/studies/{number}/rename"),
        ("PUT", f"/api/studies/{number}/note"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/api/studies"),
    ):
        answer = requests.request(method, f"{shown.url}{path}", json={}, timeout=TIMEOUT_S)
        assert answer.status_code in {404, 405}
    assert studies == get(shown.url, "/api/studies").json()["study_summaries"]


@pytest.mark.parametrize(
    "name", ["", "../console.css", "..%2f..%2fapp.py", "app.py", "no.css", "%2e%2e/app.py"]
)
def test_nothing_but_assets_is_an_asset(shown: Living, name: str) -> None:
    prepared = requests.Request("GET", shown.url).prepare()
    prepared.url = f"{shown.url}/assets/{name}"
    with requests.Session() as client:
        assert client.send(prepared, timeout=TIMEOUT_S).status_code in {404, 405}


def test_an_asset_is_kept_until_it_changes(shown: Living) -> None:
    (address,) = re.findall(r'"(/assets/console.css[^"]*)"', get(shown.url, "/").text)
    answer = requests.get(f"{shown.url}{address}", timeout=TIMEOUT_S)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert re.search(r"\?[0-9a-f]{12}$", address)
