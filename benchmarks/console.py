"""Tells how fast the console shows a large job.

A job of 1,000 trials, in a real browser, beside Optuna Dashboard on the same study and the same
service: from the click until the page's own figures stand there, and until its first picture is
drawn. Then what an epoch costs: from asking what is new until it stands on the page, and until the
picture in view has it. The browser keeps scripts and style, as it does for people; what a first
visit loads beside plotly.js is counted in kilobytes.
"""

import argparse
import multiprocessing
import random
import re
import shutil
import tempfile
import time
from pathlib import Path

import requests
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench import Answer, answer, parser, ratios, spread
from benchmarks.leased import DOCUMENT, Leased, leased
from search.common.home import Home
from search.database.store import Store
from search.service.api.app import create_app
from search.service.api.context import Service
from search.service.api.settings import Settings
from tests.servers import free_port

EPOCHS = 8

PLANNED = 1000
"""Epochs of a trial if nothing ends it: the one that runs has always another."""

ROWS = "#trials tbody tr"
DRAWN = ".js-plotly-plot svg"


def serve(home: Home, port: int) -> None:
    """Serve an installation, in a process of its own as it is for people."""
    service = Service(home, Store.open(home.database_url), Settings(port=port))
    uvicorn.run(create_app(service), port=port, log_level="error", access_log=False)


def fill(job: Leased, trials: int) -> None:
    """Let so many trials report curves such as real ones, and leave the last one running."""
    draw = random.Random(0)  # noqa: S311 - no secret
    for _ in range(trials):
        live = job.study.ask()
        assert live is not None
        end = 0.9 + draw.random() / 10
        for epoch in range(1, EPOCHS):
            report(job, live.number, epoch, end * (1 - 0.6**epoch))
        if live.number + 1 < trials:
            report(job, live.number, EPOCHS, end, "complete")


def report(job: Leased, trial: int, epoch: int, value: float, state: str = "running") -> None:
    """Report an epoch."""
    metrics = {"val_accuracy": value, "val_loss": 1 - value}
    job.study.report(trial, epoch, metrics, state)


def opens(page: Page, url: str, ready: str) -> tuple[float, float]:
    """Return the seconds until a page is ready, and until its first picture is drawn."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(ready).first.wait_for(state="attached")
    known = time.perf_counter() - began
    page.locator(DRAWN).first.wait_for(state="attached")
    return known, time.perf_counter() - began


def update(page: Page) -> tuple[float, float]:
    """Return the seconds from asking what is new until it stands there, and until it is drawn."""
    return tuple(
        page.evaluate(
            """async () => {
              const began = performance.now();
              const swapped = new Promise((done) =>
                document.addEventListener("htmx:afterSettle", done, { once: true }));
              const plot = document.querySelector("[data-figure]");
              const before = plot.etag;
              htmx.trigger("#head", "refresh");
              await swapped;
              const stands = performance.now() - began;
              const asked = performance.now();
              plot.drawing = false;
              await draw(plot);
              if (plot.etag === before) throw new Error("nothing was new");
              return [stands / 1000, (stands + performance.now() - asked) / 1000];
            }"""
        )
    )


def weight(url: str, path: str) -> float:
    """Return the kilobytes that a first visit loads, compressed, but for plotly.js."""
    text = requests.get(url + path, timeout=30).text
    assets = re.findall(r'(?:src|href)="(/assets/[^"]+)"', text)
    sizes = [
        int(requests.get(url + one, timeout=30, stream=True).headers.get("content-length", 0))
        for one in assets
        if "plotly.min.js" not in one
    ]
    return (len(text.encode()) + sum(sizes)) / 1000


def measure(options: argparse.Namespace) -> Answer:
    """Fill a job, serve it, and open it again and again."""
    trials, times = 1000, 5 if options.short else 15
    document = DOCUMENT.format(name="console", pruner="none", epochs=PLANNED, trials=trials)
    with tempfile.TemporaryDirectory() as folder, leased(
        document, Path(folder), database=None
    ) as job, sync_playwright() as playwright:  # fmt: skip
        fill(job, trials)
        port = free_port()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=serve, args=(job.home, port), daemon=True)
        process.start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            return found(job, browser, f"http://127.0.0.1:{port}", times)
        finally:
            browser.close()
            process.terminate()
            process.join()


def found(job: Leased, browser: Browser, url: str, times: int) -> Answer:
    """Alternate both, so that a noisy neighbour hits both."""
    await_answer(url)
    ours, theirs = f"{url}/jobs/{job.lease.job_id}", f"{url}/dashboard/studies/1"
    page = browser.new_page()
    known: list[float] = []
    first: list[float] = []
    peer: list[float] = []
    stands: list[float] = []
    drawn: list[float] = []
    live = next(iter(job.study.live.values()))
    for turn in range(times + 1):
        _, theirs_s = opens(page, theirs, DRAWN)
        known_s, first_s = opens(page, ours, ROWS)
        report(job, live.number, EPOCHS + turn, 0.5 + turn / 100)
        new = update(page)
        if turn:  # the first turn fills the caches of browser and service
            for times_of, took in zip(
                (known, first, peer, stands, drawn),
                (known_s, first_s, theirs_s, *new),
                strict=True,
            ):
                times_of.append(took)
    rows = [
        ("Optuna Dashboard: the first picture", spread(peer), "1"),
        ("the console: figures, table of trials", spread(known), spread(ratios(known, peer))),
        ("the console: the first picture", spread(first), spread(ratios(first, peer))),
        ("the console: an epoch, until it stands there", spread(stands, ".3f"), ""),
        ("the console: an epoch, until it is drawn", spread(drawn, ".3f"), ""),
    ]
    kilobytes = weight(url, f"/jobs/{job.lease.job_id}")
    return Answer(
        ("1,000 trials", "seconds", "times faster"),
        rows,
        [f"A first visit loads {kilobytes:.0f} kB beside plotly.js."],
    )


def await_answer(url: str) -> None:
    """Wait until the service answers."""
    while True:
        try:
            requests.get(f"{url}/health", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
