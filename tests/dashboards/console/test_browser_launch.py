"""The launch page in a real browser: fields and document, uploads, the keyboard alone."""

import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from search.database.store import Store
from search.database.tables import Job
from tests.dashboards.console.conftest import opened
from tests.search.drafting.test_drafting import walks
from tests.search.service.api.served import Served, serving


def test_a_mistake_is_explained_at_its_field_while_it_is_typed(page: Page, empty: Served) -> None:
    page.goto(f"{empty.url}/launch")
    go, document = page.get_by_role("button", name="Launch"), page.get_by_label("The document")
    expect(go).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#forecast")).to_contain_text("1,149 training")
    trials = page.get_by_label("Trials")
    trials.fill("0")
    fault = page.locator("[data-fault='budget.trials']")
    expect(fault).to_contain_text("must be at least 1, but got 0")
    expect(trials).to_have_attribute("aria-invalid", "true")
    expect(go).to_have_attribute("aria-disabled", "true")
    expect(document).to_have_value(re.compile(r"budget: \{trials: 0\}"))
    go.press("Enter")
    expect(trials).to_be_focused()
    trials.fill("5")
    expect(fault).to_be_hidden()
    expect(go).to_have_attribute("aria-disabled", "false")


def test_what_is_typed_in_haste_is_not_lost(page: Page, empty: Served) -> None:
    page.goto(f"{empty.url}/launch")
    go, document = page.get_by_role("button", name="Launch"), page.get_by_label("The document")
    expect(go).to_have_attribute("aria-disabled", "false")
    page.get_by_label("Trials").fill("77")
    page.get_by_label("Hours at most").fill("2")
    page.get_by_label("Seeds each").fill("4")
    document.focus()
    expect(document).to_have_value(re.compile(r"budget: \{trials: 77, hours: 2\}"))
    expect(document).to_have_value(re.compile("seeds: 4"))
    expect(page.get_by_label("Trials")).to_have_value("77")
    expect(go).to_have_attribute("aria-disabled", "false")


def test_a_launch_page_goes_on_when_the_service_comes_back(browser: Browser, empty: Served) -> None:
    context = opened(browser)
    try:
        page = context.new_page()
        with serving(empty.home, store=Store(empty.home.database_url)) as other:
            port = int(other.url.rsplit(":", 1)[1])
            page.goto(f"{other.url}/launch")
            expect(page.locator("#go-why")).to_have_text("Nothing is in the way.")
        page.get_by_label("Trials").fill("5")
        expect(page.locator("#go-why")).to_have_text("The service does not answer.")
        with serving(empty.home, port=port, store=Store(empty.home.database_url)):
            expect(page.locator("#go-why")).to_have_text("Nothing is in the way.", timeout=15_000)
            expect(page.get_by_label("The document")).to_have_value(re.compile("trials: 5"))
    finally:
        context.close()


def test_fields_and_document_stay_in_step(page: Page, empty: Served) -> None:
    page.goto(f"{empty.url}/launch")
    document = page.get_by_label("The document")
    page.get_by_role("group", name="Cell").get_by_label("LSTM").uncheck()
    expect(document).to_have_value(re.compile(r"cell: \[gru\]"))
    page.get_by_label("Sampler").select_option("random")
    expect(document).to_have_value(re.compile("sampler: random"))
    document.fill(document.input_value().replace("trials: 14", "trials: 7"))
    expect(page.get_by_label("Trials")).to_have_value("7")
    document.fill("name: digits\nbudgett: 3\n")
    expect(page.locator("#rest")).to_contain_text("did you mean budget?")


def test_an_end_of_a_range_is_typed_anew_and_the_range_goes_when_it_is_left_empty(
    page: Page, empty: Served
) -> None:
    page.goto(f"{empty.url}/launch")
    document = page.get_by_label("The document")
    low = page.locator('[data-part="space.hidden_size.low"]')
    low.fill("")
    page.get_by_label("Trials").fill("7")
    expect(document).to_have_value(re.compile("trials: 7"))
    expect(document).not_to_have_value(re.compile("hidden_size: {low"))
    page.clock.install()
    page.reload()
    why = page.locator("#go-why")
    for key in ("", "3", "32"):
        low.fill(key)
        page.clock.run_for(1000)  # each is checked on its own
        expect(why).not_to_have_text("Checking…")
    expect(document).to_have_value(re.compile(r"hidden_size: {low: 32, high: 64, step: 16}"))


def test_a_job_is_launched_with_a_priority(page: Page, empty: Served) -> None:
    page.goto(f"{empty.url}/launch")
    priority = page.get_by_label("Priority in the queue")
    button = page.get_by_role("button", name="Launch", exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    priority.fill("11")
    button.click()
    expect(priority).to_be_focused()
    priority.fill("3")
    button.click()
    page.wait_for_url("**/jobs/*")
    with empty.store.session() as session:
        assert [job.priority for job in session.query(Job)] == [3]


def test_after_back_the_document_is_there_and_launched_as_another_job(
    page: Page, empty: Served
) -> None:
    page.goto(f"{empty.url}/launch")
    page.get_by_label("Trials").fill("7")
    for number in (1, 2):
        expect(page.get_by_label("The document")).to_have_value(re.compile("trials: 7"))
        button = page.get_by_role("button", name="Launch", exact=True)
        expect(button).to_have_attribute("aria-disabled", "false")
        button.click()
        page.wait_for_url("**/jobs/*")
        with empty.store.session() as session:
            assert session.query(Job).count() == number
        page.go_back(wait_until="commit")  # a page that was kept loads nothing


def test_uploaded_data_are_looked_at_and_get_a_document(
    page: Page, empty: Served, tmp_path: Path
) -> None:
    page.goto(f"{empty.url}/launch")
    page.get_by_label("Upload your own").set_input_files(
        walks(tmp_path / "walks.npz", 200, steps=20)
    )
    page.wait_for_url("**/launch?data=walks.npz")
    expect(page.get_by_label("Data", exact=True)).to_have_value("walks.npz")
    expect(page.locator("#forecast")).to_contain_text("training")
    expect(page.locator("#forecast svg").first).to_be_visible()
    page.goto(f"{empty.url}/launch")
    shutil.copy(tmp_path / "walks.npz", tmp_path / "my Wege – (2).npz")
    page.get_by_label("Upload your own").set_input_files(tmp_path / "my Wege – (2).npz")
    page.wait_for_url("**/launch?data=my-Wege-2.npz")
    page.goto(f"{empty.url}/launch")
    page.get_by_label("Upload your own").set_input_files(tmp_path / "walks.npz")
    expect(page.locator("#upload-fault")).to_contain_text("there is a data file walks.npz already")
    shutil.copy(tmp_path / "walks.npz", tmp_path / "Upper.NPZ")
    page.get_by_label("Upload your own").set_input_files(tmp_path / "Upper.NPZ")
    page.wait_for_url("**/launch?data=Upper.npz")
    (tmp_path / "notes.txt").write_text("none")
    page.get_by_label("Upload your own").set_input_files(tmp_path / "notes.txt")
    expect(page.locator("#upload-fault")).to_contain_text("must end in .npz, .csv")


def test_the_example_is_launched_with_the_keyboard_alone(page: Page, empty: Served) -> None:
    page.goto(empty.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    example = page.get_by_role("button", name="Launch the example")
    for _ in range(12):
        page.keyboard.press("Tab")
        if example.evaluate("one => one === document.activeElement"):
            break
    expect(example).to_be_focused()
    assert example.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/digits-*")
    expect(page.locator("#head .status").first).to_have_text("queued")
    with empty.store.session() as session:
        (job,) = session.query(Job).all()
    assert page.url.endswith(job.id)
