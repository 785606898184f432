"""The commands' answers from a service, over REST."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from rich.console import Console

from search.document import read_text
from search.fetching import FILES, check_target
from search.jobs import JobNotFoundError, NotPossibleError
from search.listing import Wanted
from search.spec import SpecError
from search.store import first_line

TIMEOUT_S = 60.0
SILENCE_S = 60.0
"""How long a stream of events may say nothing: it sends a sign of life every 15 s."""

AGAIN_S = 2.0
"""Pause before a broken stream is taken up again."""

PATIENCE_S = 120.0
"""How long a service may be away while a job is followed."""

LIVE = ("queued", "running")


class ServerError(RuntimeError):
    """The service does not answer, or does not do what it was asked for; the message says why."""

    def __init__(self, message: str, *, asked_wrong: bool = True) -> None:
        super().__init__(message)
        self.asked_wrong = asked_wrong
        """Whether another request would be answered; else the service itself is in trouble."""


class Remote:
    """A service.

    Args:
        url: where it answers, such as http://127.0.0.1:8765.
        token: the caller's; None on loopback.

    Raises:
        ServerError: ``url`` is no address of a service.
    """

    def __init__(self, url: str, token: str | None) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise ServerError(f"--server must be http://HOST:PORT or https://…, but got {url!r}")
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy and no .netrc between a person and their service
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    # -- requests ------------------------------------------------------------------------------

    def call(self, method: str, path: str, **given: Any) -> requests.Response:
        """Make a request and return its answer.

        Raises:
            ServerError, SpecError, JobNotFoundError, NotPossibleError: it was refused.
        """
        try:
            answer = self.session.request(
                method, f"{self.url}/api/v1{path}", timeout=TIMEOUT_S, **given
            )
        except requests.RequestException as error:
            raise ServerError(f"no service answers at {self.url}: {first_line(error)}") from error
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at a path."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", path, params=given).json()

    # -- what the commands ask for ---------------------------------------------------------------

    def launch(
        self, document: Path, overrides: Sequence[str], console: Console, *, detach: bool
    ) -> dict[str, Any]:
        """Put a job into the service's queue, and follow it."""
        body = {"document": read_text(document), "set": list(overrides)}
        job = self.call("POST", "/jobs", json=body).json()
        console.print(f"job {job['id']}   service: {self.url}", highlight=False, markup=False)
        return job if detach else self.follow(job, console)

    def resume(self, key: str, console: Console, *, detach: bool) -> dict[str, Any]:
        """Put a job back into the queue, and follow it."""
        since = self.get(f"/jobs/{quoted(key)}")
        job = self.call("POST", f"/jobs/{since['id']}/resume").json()
        return job if detach else self.follow(job, console)

    def stop(self, key: str) -> dict[str, Any]:
        """Ask a job to stop, and wait until it has."""
        job: dict[str, Any] = self.call("POST", f"/jobs/{quoted(key)}/stop").json()
        deadline = time.monotonic() + PATIENCE_S
        while job["status"] in LIVE:
            if time.monotonic() > deadline:
                raise NotPossibleError(
                    f"job {job['id']} was asked to stop {PATIENCE_S:.0f} s ago, but runs still"
                )
            time.sleep(0.5)
            job = self.get(f"/jobs/{job['id']}")
        return job

    def jobs(self, wanted: Wanted) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of jobs."""
        page = self.get(
            "/jobs",
            status=wanted.status,
            name=wanted.name,
            owner=wanted.owner,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )
        return page["jobs"], page["next"]

    def show(self, key: str) -> dict[str, Any]:
        """Return a job in full."""
        shown: dict[str, Any] = self.get(f"/jobs/{quoted(key)}")
        return shown

    def trials(self, key: str) -> tuple[str, list[dict[str, Any]]]:
        """Return a job's id and its trials."""
        job = self.show(key)
        return job["id"], self.get(f"/jobs/{job['id']}/trials")

    def fetch(self, key: str, to: Path) -> list[str]:
        """Download a job's best model."""
        job = self.show(key)
        names = [name for name in self.get(f"/jobs/{job['id']}/artifacts") if name in FILES]
        check_target(to)
        to.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = f"/jobs/{job['id']}/artifacts/{name}"
            (to / name).write_bytes(self.call("GET", path).content)
        return names

    def delete(self, key: str) -> str:
        """Delete a job."""
        deleted: str = self.call("DELETE", f"/jobs/{quoted(key)}").json()["deleted"]
        return deleted

    def doctor(self, key: str | None, *, repair: bool, quiet: bool) -> dict[str, Any]:  # noqa: ARG002 - as Local
        """Let the service examine jobs."""
        path = "/doctor" if key is None else f"/jobs/{quoted(key)}/doctor"
        report: dict[str, Any] = self.call("POST" if repair else "GET", path).json()
        return report

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    # -- following ---------------------------------------------------------------------------------

    def follow(self, job: dict[str, Any], console: Console) -> dict[str, Any]:
        """Print what happens to a job until it has ended; a stream that breaks is taken up again.

        Raises:
            ServerError: the service stayed away.
        """
        lines = Lines(job)
        since, heard = None, time.monotonic()
        while True:
            try:
                for number, kind, content in self.events(job["id"], since):
                    since, heard = number or since, time.monotonic()
                    for line in lines.of(kind, content):
                        console.print(
                            f"{time.strftime('%H:%M:%S')}  {line}",
                            highlight=False, markup=False, soft_wrap=True,
                        )  # fmt: skip
                shown = self.show(job["id"])
                if shown["status"] not in LIVE:
                    return shown
            except (ServerError, requests.RequestException) as error:
                if time.monotonic() - heard > PATIENCE_S:
                    raise ServerError(
                        f"the service at {self.url} went away: {first_line(error)}; job "
                        f"{job['id']} goes on without this command",
                        asked_wrong=False,
                    ) from error
            time.sleep(AGAIN_S)

    def events(self, job_id: str, since: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield id, kind and content of a job's events after ``since``."""
        headers = {} if since is None else {"Last-Event-ID": since}
        with self.session.get(
            f"{self.url}/api/v1/jobs/{job_id}/events",
            headers=headers,
            stream=True,
            timeout=SILENCE_S,
        ) as answer:
            if answer.status_code >= 400:
                raise refusal(answer)
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.decode().partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
                    fields = {}


class Lines:
    """Turns events into the lines that a person reads."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.metric: str = job["objective"]["metric"]
        self.budget: int = job["trials"]["budget"]
        self.pick = max if job["objective"]["direction"] == "maximize" else min
        self.best: dict[tuple[str, int], float] = {}
        self.epochs: dict[tuple[str, int], int] = {}
        self.status = ""

    def of(self, kind: str, content: dict[str, Any]) -> Iterator[str]:
        """Yield the lines of one event."""
        if kind == "epoch":
            self.note(content)
        elif kind == "job" and content["status"] != self.status:
            self.status = content["status"]
            yield self.status + (f": {content['message']}" if content["message"] else "")
        elif kind == "trial" and content["state"] not in {"running", "waiting"}:
            key = (content["study"], content["trial"])
            best = self.best.get(key)
            value = "" if best is None else f"  {self.metric} {best:.4f}"
            epochs = self.epochs.get(key, 0)
            yield f"{content['name']}  {content['state']} after {epochs} epochs{value}"

    def note(self, epoch: dict[str, Any]) -> None:
        """Remember an epoch of a trial."""
        key = (epoch["study"], epoch["trial"])
        self.epochs[key] = max(self.epochs.get(key, 0), epoch["epoch"])
        value = epoch["metrics"].get(self.metric)
        if value is not None:
            self.best[key] = self.pick(value, self.best.get(key, value))


def quoted(key: str) -> str:
    """Return a job's key as a part of a path."""
    return quote(key, safe="")


def refusal(answer: requests.Response) -> Exception:
    """Return the exception of an answer that is an error, the same as where the job is here."""
    try:
        error = answer.json()["error"]
        code, message = error["code"], error["message"]
    except (ValueError, KeyError, TypeError):
        what = f"{answer.status_code} {answer.reason}"
        return ServerError(f"{answer.url} answered {what}; is it a service of Gatetune?")
    if code == "invalid-document":
        return SpecError(error["faults"])
    if code == "job-not-found":
        return JobNotFoundError(message)
    if code == "not-possible":
        return NotPossibleError(message)
    hint = "; GATETUNE_TOKEN holds the caller's" if code == "token-needed" else ""
    return ServerError(f"{message}{hint}", asked_wrong=answer.status_code < 500)
