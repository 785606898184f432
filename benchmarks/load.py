"""How fast does a service answer that many people watch? Prints the times of 100 pollers.

    python -m benchmarks.load --seconds 60

Starts a service on a home of its own, puts 1,000 jobs into its queue of which two run at once, lets
clients poll `show` and streams follow events, and reads the whole list again and again.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import requests
from rich.console import Console
from rich.table import Table

from search import jobs
from search.api.settings import Settings
from search.home import Home
from search.remote import Remote
from search.spec import parse_job
from search.store import Store

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


def main() -> None:
    """Load a service and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatetune-load-") as folder:
        os.environ |= {"GATETUNE_HOME": folder, "GATETUNE_MAX_JOBS": "2"}
        home = Home.from_environment()
        home.create()
        queued(home, given.queued)
        port = Settings.port + 10
        log = Path(folder) / "up.log"
        with log.open("wb") as stream:
            command = [sys.executable, "-m", "search", "up", "--port", str(port)]
            service = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            watch = measure(given, url)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(120)
    report(given, watch)


def measure(given: argparse.Namespace, url: str) -> Watch:
    """Wait until two jobs train, then let everybody watch them."""
    remote, watch = Remote(url, None), Watch()
    running: list[str] = []
    deadline = time.monotonic() + 180
    while len(running) < 2 and time.monotonic() < deadline:
        time.sleep(1)
        try:
            shown = remote.get("/jobs", status="running", limit=10)["jobs"]
        except Exception:  # noqa: S112 - it has not started yet
            continue
        running = [job["id"] for job in shown if job["trials"]["total"] > 0]
    threads = [
        threading.Thread(
            target=watch.poll,
            args=("show", url, f"/jobs/{running[n % 2]}", 5.0, 5.0 * n / given.clients),
        )
        for n in range(given.clients)
    ]
    threads.append(
        threading.Thread(target=watch.poll, args=("list of 1,000", url, "/jobs?limit=1000", 1.0, 0))
    )
    streams = [
        threading.Thread(target=watch.stream, args=(url, running[n % 2]), daemon=True)
        for n in range(given.streams)
    ]
    for thread in threads + streams:
        thread.start()
    time.sleep(given.seconds)
    watch.ending.set()
    for thread in threads:
        thread.join()
    return watch


def report(given: argparse.Namespace, watch: Watch) -> None:
    """Print the table."""
    console = Console()
    table = Table("request", "times", "median ms", "p99 ms", "longest ms", box=None)
    for what, took in watch.took.items():
        ordered = sorted(took)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        table.add_row(
            what,
            str(len(took)),
            *(f"{1000 * one:.0f}" for one in (median(ordered), p99, ordered[-1])),
        )
    console.print(table)
    console.print(
        f"{given.clients} clients, {given.streams} streams with {watch.events} events, two jobs "
        f"training, {given.queued} jobs in the queue, {given.seconds:.0f} s: "
        f"{len(watch.errors)} errors"
    )
    for error in watch.errors[:5]:
        console.print(error)


if __name__ == "__main__":
    main()
