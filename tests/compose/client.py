"""A person of the team: launches over REST, follows events, looks at the results."""

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import requests
import torch
from rich.console import Console
from sklearn.datasets import load_digits

from search.commands.desk import ServerError
from search.commands.remote import Remote
from tests.compose.containers import Containers

Key = tuple[str, int, int]
"""Study, trial and epoch."""


class Client:
    """Works against one installation with an admin's token."""

    def __init__(self, containers: Containers) -> None:
        self.containers = containers
        self.url = f"http://127.0.0.1:{containers.port}"
        self.await_service()
        made = containers.run(
            "gatetune", "gatetune", "token", "create", "--role", "admin", "--json"
        )
        self.token: str = json.loads(made)["token"]
        self.seen: dict[str, Counter[Key]] = {}
        self.workers: set[str] = set()
        """Machines that were seen to have trained."""

    def remote(self) -> Remote:
        """A connection of its own."""
        return Remote(self.url, self.token)

    def await_service(self) -> None:
        """Wait until the service is ready."""

        def ready() -> bool:
            try:
                return requests.get(f"{self.url}/ready", timeout=5).ok
            except requests.RequestException:
                return False

        until(ready, 300, "the service is not ready")

    def upload_digits(self) -> str:
        """Upload the digits as a file of one's own, and return its name."""
        found = load_digits()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "mine.npz"
            np.savez(path, x=found.images, y=found.target)
            self.remote().upload(Console(quiet=True), path.name, path)
        return path.name

    def launch(self, documents: list[str]) -> list[str]:
        """Launch jobs at the same moment, and return their ids."""

        def one(document: str) -> str:
            key = secrets.token_hex(8)
            answer = self.remote().call(
                "POST", "/jobs", json={"document": document}, headers={"Idempotency-Key": key}
            )
            return str(answer.json()["id"])

        with ThreadPoolExecutor(len(documents)) as pool:
            return list(pool.map(one, documents))

    def listen(self, job: str) -> None:
        """Read a job's events in a thread, and take a broken stream up where it broke."""
        self.seen[job] = Counter()

        def read() -> None:
            since: str | None = None
            while True:
                try:
                    for number, kind, content in self.remote().events(job, since):
                        since = number or since
                        if kind == "epoch":
                            key = (content["study"], content["trial"], content["epoch"])
                            self.seen[job][key] += 1
                        if kind == "trial" and content["worker"] is not None:
                            self.workers.add(content["worker"])
                        if kind == "job" and content["status"] not in {"queued", "running"}:
                            return
                except (requests.RequestException, ServerError):
                    pass  # the service was killed, and is started again
                time.sleep(0.5)

        threading.Thread(target=read, daemon=True).start()

    def epochs(self, job: str) -> int:
        """How many epochs of a job were read."""
        return len(self.seen[job])

    def await_epochs(self, jobs: list[str], at_least: int, patience_s: float) -> None:
        """Wait until jobs have told of so many epochs in all."""
        until(
            lambda: sum(self.epochs(job) for job in jobs) >= at_least,
            patience_s,
            "there are no epochs",
        )

    def await_worker(self, name: str, patience_s: float) -> None:
        """Wait until a machine has trained a trial."""
        until(lambda: name in self.workers, patience_s, f"{name} is not among {self.workers}")

    def await_finished(self, jobs: list[str], patience_s: float) -> list[str]:
        """Wait until all jobs have finished; return how they stand."""

        def stand() -> list[dict[str, Any]]:
            try:
                return [self.remote().show(job) for job in jobs]
            except ServerError:
                return []

        def ended() -> bool:
            shown = stand()
            assert not any(job["status"] == "failed" for job in shown), shown
            return bool(shown) and all(job["status"] == "finished" for job in shown)

        until(ended, patience_s, "not all jobs have finished")
        return [f"{job['id']} {job['trials']['total']} trials" for job in stand()]

    def examine(self, jobs: list[str]) -> list[str]:
        """Let doctor look at every job; it must find nothing."""
        said = []
        for job in jobs:
            report = self.remote().doctor(job, repair=False, quiet=True)
            assert report["agree"], json.dumps(report, indent=1)
            looked = report["jobs"][0]["examined"]
            said.append(f"{job}: {looked['epochs']} epochs, {looked['runs']} runs agree")
        return said

    def check_trials(self, jobs: list[str], budget: int) -> list[str]:
        """Every job has its budget of trials, and they ran on more than one worker."""
        workers: Counter[str] = Counter()
        for job in jobs:
            _, trials = self.remote().trials(job)
            searched = [trial["trial"] for trial in trials if trial["study"] == job]
            assert searched == list(range(budget)), searched
            workers.update(trial["worker"] for trial in trials if trial["worker"])
        assert len(workers) >= 2, workers
        return [f"{number} on {worker}" for worker, number in workers.items()]

    def check_events(self, jobs: list[str]) -> list[str]:
        """Every epoch of the journal came as an event, and once."""
        said = []
        for job in jobs:
            _, trials = self.remote().trials(job)
            kept: set[Key] = set()
            for trial in trials:
                path = f"/jobs/{job}/trials/{trial['trial']}/metrics"
                confirm = trial["study"] != job
                for epoch in self.remote().get(path, confirm=confirm):
                    kept.add((trial["study"], trial["trial"], epoch["epoch"]))
            until(lambda job=job, kept=kept: set(self.seen[job]) == kept, 30, "events are missing")  # type: ignore[misc]
            assert set(self.seen[job].values()) == {1}, "an epoch was told twice"
            said.append(f"{job}: {len(kept)} epochs once")
        return said

    def predict(self, name: str) -> str:
        """Load a champion as anybody would, and let it answer."""
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.containers.mlflow_port}")
        with TemporaryDirectory() as folder:
            uri = f"models:/{name}@champion"
            model = mlflow.pytorch.load_model(uri, dst_path=str(Path(folder)))
            answer = model(torch.from_numpy(np.zeros((3, 8, 8), dtype=np.float32)))
        return f"models:/{name}@champion answers a batch of 3 with shape {tuple(answer.shape)}"


def until(done: Callable[[], bool], patience_s: float, otherwise: str) -> None:
    """Look twice a second until something is so."""
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
