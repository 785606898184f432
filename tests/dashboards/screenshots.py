"""`make screenshots`: all pictures of the documents, by real jobs of new homes.

Commands are drawn as a terminal shows them; the main job's report and its run in MLflow are taken,
and every page of the console, light and dark, wide and on a phone, of a service of which two jobs
have ended and the third still runs. Pages go to `build/screenshots`, the best to `docs/images`.
What README quotes of the main job goes to `build/screenshots`, too.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from rich.console import Console

from dashboards.console.launch import EXAMPLE
from tests.dashboards.console.conftest import PHONE, WIDE, launched, opened
from tests.dashboards.terminals import draw_search, draw_top, draw_vowels
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
ALL, BEST = ROOT / "build" / "screenshots", ROOT / "docs" / "images"

JOBS: tuple[list[str], ...] = (
    ["budget.trials=40", "confirm.seeds=5", "confirm.top=2"],
    ["name=digits-small", "objective={beside: [weights, latency_ms]}", "budget.trials=24"],
    ["name=mnist-rows", "data={source: mnist-5k, validation: 0.2}", "budget.trials=300",
     "space.hidden_size={low: 32, high: 96, step: 32}"],
)  # fmt: skip

CHOSEN = {
    "jobs-light-wide": "console-jobs",
    "running-dark-wide": "console-running",
    "finished-light-wide": "console-finished",
    "launch-light-wide": "console-launch",
    "finished-dark-phone": "console-phone",
    "compare-light-wide": "console-compare",
}
"""Of all pages of the console, by what they are called in the documents."""

NO_DITHER = Image.Dither.NONE

SETTLE_MS = 1500
"""Until pictures are drawn."""

console = Console(highlight=False)


@contextmanager
def service(home: Path) -> Iterator[str]:
    """Run a service and yield its address."""
    command = [sys.executable, "-m", "search", "up", "--port", str(free_port())]
    with subprocess.Popen(
        [*command, "--mlflow-port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"GATETUNE_HOME": str(home)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.send_signal(signal.SIGINT)


def launch(address: str, changes: list[str]) -> str:
    """Launch a job like the example and return its id."""
    body = {"document": EXAMPLE, "set": changes}
    answer = requests.post(f"{address}/api/v1/jobs", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["id"])


def wait(address: str, job: str, *, trials: int | None = None) -> None:
    """Wait until a job has finished, or has so many trials that ended."""
    while True:
        shown = requests.get(f"{address}/api/v1/jobs/{job}", timeout=60).json()
        ended = shown["trials"]["complete"] + shown["trials"]["pruned"]
        console.print(f"  {job}: {shown['status']}, {ended} of {shown['trials']['budget']}")
        if shown["status"] == "finished" or (trials is not None and ended >= trials):
            return
        assert shown["status"] != "failed", shown["message"]
        time.sleep(5)


def pictures(browser: Browser, address: str, pages: dict[str, str]) -> None:
    """Take every page in every theme and size."""
    for theme in ("light", "dark"):
        for size, name in ((WIDE, "wide"), (PHONE, "phone")):
            window = opened(browser, size, theme, device_scale_factor=2 if size == PHONE else 1)
            page = window.new_page()
            for what, path in pages.items():
                page.goto(address + path)
                expect(page.locator(".skeleton")).to_have_count(0, timeout=60_000)
                page.wait_for_timeout(SETTLE_MS)
                take(page, f"{what}-{theme}-{name}")
            window.close()


def take(page: Page, name: str) -> None:
    """Take a page: what is seen first, and all of it."""
    page.screenshot(path=ALL / f"{name}.png")
    for _ in range(12):  # what is not in view is not drawn
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(150)
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=ALL / f"{name}-whole.png", full_page=True)
    console.print(f"  {name}")


def choose(name: str, known: str) -> None:
    """Put a picture where the documents have it."""
    with Image.open(ALL / f"{name}.png") as image:
        # In 256 colours it has a third of the bytes; of these the rare ones are some, too, and
        # those of large parts are exact.
        few = image.convert("RGB").quantize(
            method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=NO_DITHER
        )
        few.save(BEST / f"{known}.png", optimize=True)


def take_main_job(browser: Browser, folder: Path) -> None:
    """Run the main job at a terminal, and take it, its run in MLflow and its report."""
    home, report = folder / "main", folder / "report.html"
    with patch.dict(os.environ, GATETUNE_HOME=str(home)):
        text = draw_search(home, ROOT / "jobs" / "mnist-5k.yaml", BEST)
        (ALL / "search.txt").write_text(f"{text}\n")
        command = [sys.executable, "-m", "search", "report", "mnist-5k", "--to", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    page = browser.new_page(viewport={"width": 1180, "height": 1560})
    page.goto(report.as_uri())
    page.wait_for_timeout(SETTLE_MS)
    save(page, "report")
    with service(home) as address:
        page.set_viewport_size({"width": 1300, "height": 1050})
        page.goto(f"{address}/jobs/mnist-5k")
        page.goto(page.locator("#in-mlflow").get_attribute("href") or "")
        page.get_by_role("button", name="Close").click()  # MLflow's assistant opens by itself
        page.get_by_text("Show more").click()
        page.wait_for_timeout(SETTLE_MS)
        save(page, "mlflow-job")
    page.close()


def save(page: Page, name: str) -> None:
    """Put what is seen of a page where the documents have it."""
    page.screenshot(path=ALL / f"{name}.png")
    choose(name, name)


def take_console(browser: Browser, folder: Path) -> None:
    """Take every page of a service that has jobs, and its jobs at a terminal."""
    with service(folder / "home") as address:
        console.print("two jobs, to their ends …")
        first, second, third = (launch(address, changes) for changes in JOBS)
        wait(address, first)
        wait(address, second)
        console.print("a third one, as it runs …")
        wait(address, third, trials=12)
        draw_top(address, BEST)
        pages = {
            "running": f"/jobs/{third}",
            "jobs": "/",
            "finished": f"/jobs/{first}",
            "launch": "/launch",
            "compare": f"/compare?job={first}&job={second}",
            "models": "/models",
            "cluster": "/cluster",
            "settings": "/settings",
            "login": "/login",
            "missing": "/nothing",
        }
        pictures(browser, address, pages)
    for name, known in CHOSEN.items():
        choose(name, known)


def main() -> None:
    """Make all pictures."""
    ALL.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        console.print("the main job, to its end …")
        take_main_job(browser, Path(folder))
        console.print("nine men's vowels …")
        with patch.dict(os.environ, GATETUNE_HOME=f"{folder}/vowels"):
            draw_vowels(BEST)
        take_console(browser, Path(folder))
    console.print(f"all in {ALL.relative_to(ROOT)}, the best in {BEST.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
