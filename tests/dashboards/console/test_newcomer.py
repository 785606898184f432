"""A newcomer's way through the console; service, workers and MLflow server are real."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Download, expect

from tests.dashboards.console.conftest import opened
from tests.servers import free_port

PATIENCE_MS = 240_000
"""For what needs workers to start, beside other tests."""


@pytest.fixture
def address(home: Path, tmp_path: Path) -> Iterator[str]:
    """Where `gatetune up` answers."""
    with (tmp_path / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "search", "up", "--port", str(free_port()),
             "--mlflow-port", str(free_port())],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"GATETUNE_HOME": str(home)},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("console"), (tmp_path / "up.log").read_text()
            yield line.split()[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)


def test_from_the_empty_page_to_a_model_in_torch(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    window = opened(browser)
    try:
        page = window.new_page()
        page.goto(address)
        page.get_by_role("button", name="Launch the example").click()
        page.wait_for_url("**/jobs/digits-*")
        status = page.locator("#head .status").first
        expect(page.get_by_label("Running now").locator("progress").first).to_be_visible(
            timeout=PATIENCE_MS
        )
        page.get_by_role("button", name="Stop").click()
        expect(status).to_have_text("stopped", timeout=PATIENCE_MS)
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("dl.facts")).to_contain_text("14 of 14", timeout=PATIENCE_MS)
        expect(page.locator("[data-figure$='curves'] svg").first).to_be_visible()
        expect(status).to_have_text("finished", timeout=PATIENCE_MS)
        expect(page.locator("#sections")).to_contain_text("reached validation accuracy")
        expect(page.locator("#sections")).to_contain_text("LSTM or GRU?")

        def taken(name: str) -> Path:
            with page.expect_download() as started:
                page.get_by_role("link", name=name, exact=True).click()
            download: Download = started.value
            download.save_as(tmp_path / name)
            return tmp_path / name

        model = torch.export.load(taken("model.pt2")).module()
        assert model(torch.zeros(3, 8, 8)).shape == (3, 10)
        assert "digits" in taken("README.md").read_text()

        with page.expect_popup() as run:
            page.locator("#trials").get_by_role("link", name=re.compile("^run")).first.click()
        expect(run.value.get_by_text("val_accuracy").first).to_be_visible(timeout=PATIENCE_MS)
        page.goto(f"{address}/models")
        expect(page.get_by_role("heading", name="digits")).to_be_visible()
    finally:
        window.close()
