"""The commands' answers from a service, over REST."""

import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

import requests
from rich.console import Console

from search.commands.desk import NameTakenError, ServerError, UnansweredError
from search.commands.lines import Lines
from search.commands.uploading import digest_of, with_uploads
from search.common.faults import SpecError
from search.common.texts import first_line, is_web_address
from search.database.lease import LIVE
from search.document.document import read_text
from search.jobs.jobs import JobNotFoundError, NotPossibleError
from search.jobs.listing import Wanted
from search.winner.fetching import (
    FILES,
    REPORTS,
    SUMS,
    Choice,
    check_sums,
    check_target,
    sums_of,
    wanted,
    write_fetched,
)
from trainables.folder import DamagedError

if TYPE_CHECKING:
    from search.report.report import Form

TIMEOUT_S = 60.0
"""How long an answer may take."""

LONG_S = 3600.0
"""The same of what reads or deletes all that MLflow has of a job."""

SILENCE_S = 60.0
"""How long a stream of events may say nothing: it sends a sign of life every 15 s."""

AGAIN_S = 2.0
"""Pause before a broken stream is taken up again."""

PATIENCE_S = 120.0
"""How long a service may be away while a job is followed."""


class Remote:
    """A service.

    Args:
        url: where it answers, such as http://127.0.0.1:8765.
        token: the caller's; None on loopback.

    Raises:
        ServerError: ``url`` is no address of a service, or ``token`` no token.
    """

    def __init__(self, url: str, token: str | None) -> None:
        if not is_web_address(url):
            raise ServerError(f"--server must be http://HOST:PORT or https://…, but got {url!r}")
        if token is not None and not re.fullmatch(r"[!-~]+", token):
            raise ServerError("GATETUNE_TOKEN must be a token such as gt_…, but holds other signs")
        self.url = url.rstrip("/").removesuffix("/api/v1")
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy and no .netrc between a person and their service
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    @property
    def place(self) -> str:
        """The service's address."""
        return self.url

    # -- requests ------------------------------------------------------------------------------

    def call(
        self, method: str, path: str, *, timeout_s: float = TIMEOUT_S, **given: Any
    ) -> requests.Response:
        """Make a request and return its answer.

        Raises:
            UnansweredError: no answer came.
            ServerError, SpecError, JobNotFoundError, NotPossibleError: it was refused.
        """
        try:
            answer = self.session.request(
                method,
                f"{self.url}/api/v1{path}",
                timeout=timeout_s,
                allow_redirects=False,
                **given,
            )
        except requests.RequestException as error:
            raise UnansweredError(
                f"no service answers at {self.url}: {reason_of(error)}"
            ) from error
        check_here(answer)
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """Make a request and return what the answer says; raises as `call`."""
        answer = self.call(method, path, **given)
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(
                f"{answer.url} answered no JSON; is it a service of Gatetune?"
            ) from error

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at a path."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.ask("GET", path, params=given)

    # -- what the commands ask for ---------------------------------------------------------------

    def launch(
        self,
        document: Path,
        overrides: Sequence[str],
        console: Console,
        *,
        detach: bool,
        priority: int = 0,
    ) -> dict[str, Any]:
        """Put a job into the service's queue, and follow it."""
        text = read_text(document)
        given = with_uploads(document, text, overrides, partial(self.upload, console))
        body = {"document": text, "set": given, "priority": priority}
        # The key lets a request whose answer was lost be sent again, and make no second job.
        request = partial(
            self.ask, "POST", "/jobs", json=body, headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        try:
            job = request()
        except UnansweredError:
            job = request()
        console.print(f"job {job['id']}   service: {self.url}", highlight=False, markup=False)
        return job if detach else self.follow(job, console)

    def upload(self, console: Console, name: str, path: Path) -> None:
        """Bring a file to the service, unless it has it."""
        if self.has(name, path):
            return
        size_mb = path.stat().st_size / 1e6
        console.print(f"uploading {path.name}, {size_mb:.1f} MB", highlight=False, markup=False)
        try:
            with path.open("rb") as file:
                self.ask("PUT", f"/data/{name}", data=file, timeout_s=LONG_S)
        except NameTakenError:  # by another, at the same moment
            self.has(name, path)

    def has(self, name: str, path: Path) -> bool:
        """Return whether the service has a file under a name.

        Raises:
            NotPossibleError: it has another one: names hold a part of the sum, which anyone can.
        """
        sums = {one["name"]: one["sha256"] for one in self.get("/data")}
        if name in sums and sums[name] != digest_of(path):
            raise NotPossibleError(
                f"the service has another file than {path} under the name {name}; who runs it may "
                "delete that, or give this one another name"
            )
        return name in sums

    def resume(self, key: str, console: Console, *, detach: bool) -> dict[str, Any]:
        """Put a job back into the queue, and follow it."""
        since = self.get(f"/jobs/{quoted(key)}")
        job = self.ask("POST", f"/jobs/{since['id']}/resume")
        return job if detach else self.follow(job, console)

    def stop(self, key: str) -> dict[str, Any]:
        """Ask a job to stop, and wait until it has."""
        job: dict[str, Any] = self.ask("POST", f"/jobs/{quoted(key)}/stop")
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
            in_turn=wanted.in_turn,
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

    def report(self, key: str, form: "Form") -> str:
        """Return what a job has found."""
        path = f"/jobs/{quoted(key)}/report"
        return self.call("GET", path, timeout_s=LONG_S, params={"format": form}).text

    def fetch(self, key: str, to: Path, choice: Choice) -> list[str]:
        """Download a job's best model, and its report."""
        if choice.trial is not None:
            raise NotPossibleError("--trial needs the installation itself, a service has no answer")
        job = self.show(key)
        files = f"/jobs/{job['id']}/artifacts"
        told = self.get(files)  # of a name that we do not know nothing is written
        names = wanted([name for name in FILES if name in told], choice.form)
        check_target(to)
        contents = {name: self.call("GET", f"{files}/{name}").content for name in names}
        try:
            if SUMS in contents:  # a service of an earlier version has none
                check_sums(contents, sums_of(contents[SUMS]))
        except DamagedError as error:
            raise NotPossibleError(f"job {job['id']}: {error}; fetch it again") from error
        reports = {name: self.report(job["id"], kind).encode() for name, kind in REPORTS.items()}
        return write_fetched(contents, to, choice.form, reports)

    def promote(self, key: str) -> dict[str, Any]:
        """Make a job's model the champion."""
        model: dict[str, Any] = self.ask("POST", f"/jobs/{quoted(key)}/promote", timeout_s=LONG_S)
        return model

    def champions(self, name: str) -> list[dict[str, Any]]:
        """Return the champions of a name."""
        found: list[dict[str, Any]] = self.get(f"/champions/{quoted(name)}")
        return found

    def delete(self, key: str) -> str:
        """Delete a job."""
        path = f"/jobs/{quoted(key)}"
        deleted: str = self.ask("DELETE", path, timeout_s=LONG_S)["deleted"]
        return deleted

    def doctor(self, key: str | None, *, repair: bool, quiet: bool) -> dict[str, Any]:  # noqa: ARG002 - as Local
        """Let the service examine jobs."""
        path = "/doctor" if key is None else f"/jobs/{quoted(key)}/doctor"
        method = "POST" if repair else "GET"
        report: dict[str, Any] = self.ask(method, path, timeout_s=LONG_S)
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
        since, away = None, None
        while True:
            try:
                for number, kind, content in self.events(job["id"], since):
                    since, away = number or since, None
                    for line in lines.of(kind, content):
                        console.print(
                            f"{time.strftime('%H:%M:%S')}  {line}",
                            highlight=False, markup=False, soft_wrap=True,
                        )  # fmt: skip
                shown, away = self.show(job["id"]), None
                if shown["status"] not in LIVE:
                    return shown
            except (ServerError, requests.RequestException) as error:
                if isinstance(error, ServerError) and error.final:
                    raise
                away = away or time.monotonic()
                if time.monotonic() - away > PATIENCE_S:
                    raise ServerError(
                        f"the service at {self.url} went away: {first_line(error)}; job "
                        f"{job['id']} goes on without this command",
                        asked_wrong=False,
                    ) from error
            time.sleep(AGAIN_S)

    def events(self, job_id: str, since: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield id, kind and content of a job's events after ``since``.

        A sign of life, which is an answer's begin or a comment, is an event of no kind.
        """
        headers = {} if since is None else {"Last-Event-ID": since}
        with self.session.get(
            f"{self.url}/api/v1/jobs/{job_id}/events",
            headers=headers,
            stream=True,
            timeout=SILENCE_S,
            allow_redirects=False,
        ) as answer:
            check_here(answer)
            if answer.status_code >= 400:
                raise refusal(answer)
            yield "", "", {}
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line.startswith(b":"):
                    yield "", "", {}
                elif line:
                    name, _, value = line.decode().partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
                    fields = {}


def reason_of(error: requests.RequestException) -> str:
    """Return why no answer came, without the stack of the libraries' own words."""
    if "refused" in str(error):
        return "connection refused; `gatetune up` starts one"
    return first_line(error)


def quoted(key: str) -> str:
    """Return a job's key as a part of a path.

    Raises:
        JobNotFoundError: it would lead to another path, even so.
    """
    if "/" not in key and key.strip("."):
        with suppress(UnicodeEncodeError):  # what the shell gave is no UTF-8
            return quote(key, safe="")
    raise JobNotFoundError(f"no job is called {key!r}")


def check_here(answer: requests.Response) -> None:
    """Refuse an answer that leads elsewhere: a POST would become a GET there.

    Raises:
        ServerError: says where.
    """
    if answer.is_redirect:
        place = urljoin(answer.url, answer.headers["location"])
        raise ServerError(
            f"{answer.url} leads to {place}; --server must be the address of the service itself"
        )


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
    if code == "exists":
        return NameTakenError(message)
    hint = "; GATETUNE_TOKEN holds the caller's" if code == "token-needed" else ""
    return ServerError(
        f"{message}{hint}",
        asked_wrong=answer.status_code < 500,
        final=answer.status_code in {401, 403},
    )
