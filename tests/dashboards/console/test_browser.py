"""The pages in a real browser: access for all, live, narrow, dark, and what buttons do."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from search.database.store import Store
from search.database.tables import Job
from search.service import tokens
from search.tracking.tracking import client_of
from tests.dashboards.console.conftest import PAGES, PHONE, RUNNING, WIDE, Living, opened
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import TOLD
from tests.search.service.api.world import HOSTS
from tests.search.service.api.world import settings as network_settings
from tests.search.winners import JOB, OTHER, finish_rivals
from trainables.datasets import load_dataset

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def log_in(page: Page, token: str) -> None:
    """Give a token at the login."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def token_for(page: Page, owner: str) -> str:
    """Make a token on the page of the settings, and return it."""
    page.get_by_label("Owner").fill(owner)
    page.get_by_label("Owner").press("Enter")
    secret = page.locator("#secret")
    expect(secret).to_have_text(re.compile("^gt_"))
    return secret.inner_text()


@pytest.mark.parametrize(
    ("size", "theme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide-light", "phone-dark"]
)
@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_for_all_and_fits(
    browser: Browser, shown: Living, name: str, size: tuple[int, int], theme: str
) -> None:
    context = opened(browser, size, theme)
    try:
        page = context.new_page()
        page.goto(shown.url + PAGES[name])
        # A page that asks every second is never idle for long.
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        found = Axe().run(page, options=RULES).response["violations"]
        told = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        context.close()


def test_two_who_watch_see_an_epoch_without_loading_anew(browser: Browser, living: Living) -> None:
    windows = [opened(browser), opened(browser, PHONE, "dark")]
    try:
        pages = [window.new_page() for window in windows]
        for page in pages:
            page.goto(f"{living.url}/jobs/{RUNNING}")
            expect(page.get_by_label("Epochs of trial 1")).to_have_attribute("value", "0")
            page.evaluate("window.stayed = true")
        living.progress()
        for page in pages:
            expect(page.get_by_label("Epochs of trial 1")).to_have_attribute("value", "1")
            assert page.evaluate("window.stayed")
    finally:
        for window in windows:
            window.close()


def test_a_service_that_comes_back_is_found_again(browser: Browser, living: Living) -> None:
    context = opened(browser)
    try:
        page = context.new_page()
        port = int(living.url.rsplit(":", 1)[1])
        home = living.served.home
        page.goto(f"{living.url}/jobs/{TOLD}")
        # The service of the fixture answers on; this page's one goes and comes.
        again = 0
        with serving(home, store=Store(home.database_url)) as other:
            again = int(other.url.rsplit(":", 1)[1])
            page.goto(f"{other.url}/jobs/{RUNNING}")
            expect(page.get_by_label("Epochs of trial 1")).to_have_attribute("value", "0")
        assert again != port
        expect(page.locator("#lost")).to_be_visible()
        living.progress()
        with serving(home, port=again, store=Store(home.database_url)):
            expect(page.locator("#lost")).to_be_hidden()
            expect(page.get_by_label("Epochs of trial 1")).to_have_attribute("value", "1")
    finally:
        context.close()


def test_a_database_that_is_away_is_said_and_not_asked_without_end(
    page: Page, living: Living
) -> None:
    page.goto(f"{living.url}/jobs/{RUNNING}")
    expect(page.get_by_label("Epochs of trial 1")).to_have_attribute("value", "0")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/head?*", lambda route: route.fulfill(status=503, body="{}"))
    expect(page.locator("#lost")).to_be_visible()
    began = len(asked)
    page.wait_for_timeout(2500)
    assert len(asked) - began < 8
    expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/head?*")
    expect(page.locator("#lost")).to_be_hidden()


def test_a_job_that_is_deleted_while_it_is_watched(page: Page, living: Living) -> None:
    page.goto(f"{living.url}/jobs/{TOLD}")
    answer = living.served.ask("DELETE", f"/jobs/{TOLD}")
    assert answer.status_code == 200, answer.text
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize(
    "target", ["//evil.example", "/%09/evil.example/x", "/\\evil.example", "https://evil.example"]
)
def test_a_login_leads_nowhere_else(browser: Browser, guarded: Served, target: str) -> None:
    context = opened(browser)
    try:
        page = context.new_page()
        page.goto(f"{guarded.url}/login?next={target}")
        log_in(page, guarded.token("root", "admin"))
        expect(page.locator("nav.main")).to_be_visible()
        assert page.url.startswith(guarded.url)
    finally:
        context.close()


def test_a_word_in_a_colour_is_as_high_as_others(page: Page, shown: Living) -> None:
    page.goto(shown.url)
    heights = {
        one.bounding_box()["height"]  # type: ignore[index]
        for one in page.locator("#list .status").all()
    }
    assert max(heights) < 30


def test_a_button_that_is_replaced_meanwhile_says_what_came_of_it(
    page: Page, living: Living
) -> None:
    """As an epoch replaces it that is reported while the request is under way."""
    page.goto(f"{living.url}/jobs/{RUNNING}")
    held: list[Route] = []
    page.route("**/stop", lambda route: held.append(route))  # noqa: PLW0108 - no built-in
    with page.expect_request("**/stop"):
        page.get_by_role("button", name="Stop").click()
    page.evaluate("const it = document.getElementById('stop'); it.replaceWith(it.cloneNode(true))")
    held[0].continue_()
    expect(page.locator("#toasts")).to_contain_text("nothing that ran is lost")


def test_stop_and_resume(page: Page, living: Living) -> None:
    page.goto(f"{living.url}/jobs/{RUNNING}")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#toasts")).to_contain_text("nothing that ran is lost")
    assert living.served.read(RUNNING).stop_requested
    living.study.shut()
    with living.served.store.session() as session:
        session.get_one(Job, RUNNING).status = "stopped"
    living.lease.release()
    expect(page.locator("#head .status").first).to_have_text("stopped")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#head .status").first).to_have_text("queued")
    assert living.served.read(RUNNING).status == "queued"


def test_a_job_is_deleted_after_a_question(page: Page, living: Living) -> None:
    page.goto(f"{living.url}/jobs/{TOLD}")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert living.served.read(TOLD).status == "finished"
    asked: list[str] = []

    def accept(dialog: object) -> None:
        asked.append(dialog.message)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    page.once("dialog", accept)
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{living.url}/")
    assert "cannot be undone" in asked[0]
    expect(page.get_by_role("link", name=TOLD)).to_have_count(0)


def test_a_challenger_is_promoted_and_taken_back(page: Page, empty: Served) -> None:
    digits = load_dataset("digits", validation=0.2, seed=0, data_dir=Path())
    finish_rivals(empty.home, empty.store, digits)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{empty.url}/models")
    for job, version, button in ((OTHER, "2", "Promote"), (JOB, "1", "Roll back to it")):
        row = page.get_by_role("row").filter(has_text=job)
        row.get_by_role("button", name=button).click()
        expect(page.locator("#toasts")).to_contain_text(f"Version {version} is the champion")
        expect(row.locator(".badge")).to_have_text("champion")
        aliases = client_of(empty.home).get_registered_model("tiny").aliases
        assert str(aliases["champion"]) == version
    page.get_by_text("Who was champion when").click()
    expect(page.locator("details li")).to_have_count(3)


def test_the_list_is_searched_and_filtered(page: Page, shown: Living) -> None:
    page.goto(shown.url)
    rows = page.locator("#list tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_label("Search by name or owner").fill("live")
    expect(rows).to_have_count(1)
    page.get_by_label("finished").check()
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.get_by_label("Search by name or owner").fill("")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("link", name=TOLD)).to_be_visible()


def test_the_table_of_trials_is_sorted_filtered_and_narrowed(page: Page, shown: Living) -> None:
    page.goto(f"{shown.url}/jobs/{TOLD}")
    first = page.locator("#trials tbody tr").first.locator("td").first
    expect(first).to_have_text("1")
    page.get_by_role("button", name="Trial", exact=True).click()
    expect(first).to_have_text("0")
    expect(page.locator("[aria-sort=ascending]")).to_have_text("Trial")
    page.get_by_role("combobox", name="State").select_option("diverged")
    expect(page.locator("#trials tbody tr")).to_have_count(1)
    page.get_by_text("Hide columns").click()
    page.get_by_role("checkbox", name="learning rate").check()
    expect(page.locator("#trials thead")).not_to_contain_text("learning rate")
    page.get_by_role("checkbox", name="learning rate").uncheck()
    expect(page.locator("#trials thead")).to_contain_text("learning rate")
    # The list stays open for its reader, though nothing is hidden any more.
    expect(page.get_by_role("checkbox", name="learning rate")).to_be_visible()
    page.get_by_label("Search parameters").press("Enter")
    expect(page.locator("#trials tbody tr")).to_have_count(1)
    assert page.url == f"{shown.url}/jobs/{TOLD}"


def test_a_part_of_a_page_that_is_refused_says_why(page: Page, shown: Living) -> None:
    fault = {"error": {"code": "x", "message": "resume finishes it", "faults": []}}
    page.route("**/files", lambda route: route.fulfill(status=409, json=fault))
    page.goto(f"{shown.url}/jobs/{TOLD}")
    model = page.get_by_role("region", name="The model")
    expect(model).to_contain_text("resume finishes it")
    expect(model.locator(".skeleton")).to_have_count(0)


def test_who_is_logged_in_to_two_services_of_a_host_changes_both(
    browser: Browser, guarded: Served, tmp_path: Path
) -> None:
    """A browser has one set of cookies for all ports."""
    with serving(fresh(tmp_path), network_settings(hosts=HOSTS)) as other, opened(browser) as both:
        page = both.new_page()
        for served in (guarded, other):
            page.goto(f"{served.url}/settings")
            log_in(page, served.token("root", "admin"))
            page.wait_for_url("**/settings")
        for served in (guarded, other):
            page.goto(f"{served.url}/settings")
            principal = tokens.verify(served.store, token_for(page, "hedy"))
            assert principal == tokens.Principal("hedy", "launch")


def test_the_log_in_and_out_and_a_token_that_is_revoked(browser: Browser, guarded: Served) -> None:
    context = opened(browser)
    try:
        page = context.new_page()
        page.goto(f"{guarded.url}/jobs/{TOLD}")
        log_in(page, "gt_wrong_one")
        expect(page.locator("#login-fault")).to_contain_text("the token is not valid")
        log_in(page, guarded.token("root", "admin"))
        page.wait_for_url(f"**/jobs/{TOLD}")
        page.goto(f"{guarded.url}/settings")
        page.get_by_label("Owner").fill("grace hopper")
        page.get_by_role("button", name="Make a token").click()
        expect(page.locator("#token-fault")).to_contain_text("but got 'grace hopper'")
        secret = token_for(page, "grace")
        assert tokens.verify(guarded.store, secret) == tokens.Principal("grace", "launch")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("row", name="grace").get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("row", name="grace").get_by_role("button")).to_have_count(0)
        assert tokens.verify(guarded.store, secret) is None
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        assert guarded.session not in {cookie["name"] for cookie in context.cookies()}
    finally:
        context.close()


def test_the_theme_that_is_chosen_stays(page: Page, shown: Living) -> None:
    page.goto(shown.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark or light").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto(f"{shown.url}/cluster")
    assert page.evaluate(ground) == dark
