"""Tells how fast a service answers that many people watch.

A service with 1,000 jobs in its queue, of which two train: 100 clients ask for a job every five
seconds, 50 follow a job's events, and one more reads the whole list again and again.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from math import ceil
from pathlib import Path
from statistics import median

import requests

from benchmarks.bench import Answer, answer, parser
from search.commands.remote import Remote
from search.common.home import Home
from search.database.store import Store
from search.document.spec import parse_job
from search.jobs import jobs
from search.service.api.settings import Settings

DOCUMENT = """
name: {name}
data: {{source: digits}}
space:
  cell: [lstm, gru]
  hidden_size: {{low: 8, high: 64}}
  learning_rate: {{low: 1.0e-3, high: 3.0e-2, log: true}}
budget: {{trials: 100000}}
confirm: {{top: 0}}
"""
CLIENTS = 100
STREAMS = 50
QUEUED = 1000


def queued(home: Home, number: int) -> None:
    """Put jobs into the queue."""
    spec_of = {n: parse_job(DOCUMENT.format(name=f"load-{n}")) for n in range(number)}
    store = Store.open(home.database_url)
    for spec in spec_of.values():
        jobs.create(store, spec, "", owner="load", supervised=True)
    store.close()


class Watch:
    """What clients measured."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {"show": [], "list of 1,000": []}
        self.errors: list[str] = []
        self.events = 0
        self.ending = threading.Event()

    def time(self, what: str, remote: Remote, path: str) -> None:
        """Time one request."""
        began = time.perf_counter()
        try:
            remote.get(path)
        except Exception as error:
            self.errors.append(str(error))
        self.took[what].append(time.perf_counter() - began)

    def poll(self, what: str, url: str, path: str, every_s: float, after_s: float) -> None:
        """Ask again and again."""
        remote = Remote(url, None)
        self.ending.wait(after_s)
        while not self.ending.is_set():
            self.time(what, remote, path)
            self.ending.wait(every_s)

    def stream(self, url: str, job: str) -> None:
        """Follow a job's events."""
        try:
            for _ in Remote(url, None).events(job, None):
                self.events += 1
                if self.ending.is_set():
                    return
        except requests.RequestException as error:
            if not self.ending.is_set():
                self.errors.append(str(error))


def watch(url: str, seconds: float) -> Watch:
    """Wait until two jobs train, then let everybody watch them."""
    remote, watching = Remote(url, None), Watch()
    running: list[str] = []
    deadline = time.monotonic() + 180
    while len(running) < 2 and time.monotonic() < deadline:
        time.sleep(1)
        try:
            shown = remote.get("/jobs", status="running", limit=10)["jobs"]
        except Exception:  # noqa: S112 - it has not started yet
            continue
        running = [job["id"] for job in shown if job["trials"]["total"] > 0]
    assert len(running) > 1, "no two jobs trained within three minutes"
    threads = [
        threading.Thread(
            target=watching.poll,
            args=("show", url, f"/jobs/{running[n % 2]}", 5.0, 5.0 * n / CLIENTS),
        )
        for n in range(CLIENTS)
    ]
    whole = ("list of 1,000", url, f"/jobs?limit={QUEUED}", 1.0, 0)
    threads.append(threading.Thread(target=watching.poll, args=whole))
    streams = [
        threading.Thread(target=watching.stream, args=(url, running[n % 2]), daemon=True)
        for n in range(STREAMS)
    ]
    for thread in threads + streams:
        thread.start()
    time.sleep(seconds)
    watching.ending.set()
    for thread in threads:
        thread.join()
    return watching


def measure(options: argparse.Namespace) -> Answer:
    """Load a service and return what it took."""
    seconds = 20.0 if options.short else 60.0
    with tempfile.TemporaryDirectory(prefix="gatetune-load-") as folder:
        os.environ |= {"GATETUNE_HOME": folder, "GATETUNE_MAX_JOBS": "2"}
        home = Home.from_environment()
        home.create()
        queued(home, QUEUED)
        port = Settings.port + 10
        with (Path(folder) / "up.log").open("wb") as stream:
            command = [sys.executable, "-m", "search", "up", "--port", str(port)]
            service = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            seen = watch(f"http://127.0.0.1:{port}", seconds)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(120)
    remarks = [f"{seconds:.0f} s, {seen.events:,} events, {len(seen.errors)} errors."]
    return Answer(
        ("request", "times", "median", "99th percentile", "longest"),
        [row(what, sorted(took)) for what, took in seen.took.items()],
        remarks + seen.errors[:5],
    )


def row(what: str, took: list[float]) -> tuple[str, ...]:
    """Return a request's row, of its times in order."""
    # Of fewer than a hundred it is the longest.
    p99 = took[ceil(0.99 * len(took)) - 1] if len(took) >= 100 else None
    times = (median(took), p99, took[-1])
    return (
        what,
        f"{len(took):,}",
        *("" if one is None else f"{1000 * one:.0f} ms" for one in times),
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
