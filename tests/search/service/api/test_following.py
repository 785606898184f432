"""A job that a person follows over a service, which may go away and come back."""

import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from rich.console import Console
from typer.testing import CliRunner, Result

from search.commands import remote as module
from search.commands.cli import app
from search.commands.desk import ServerError
from search.commands.remote import Remote
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.jobs.jobs import JobNotFoundError, open_existing
from search.upkeep.deletion import delete_rows
from tests.search.conftest import DOCUMENT, add_job, make_spec, open_study, train
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, TOLD, begin, end
from tests.servers import free_port

JOB = {
    "id": "x",
    "objective": {"metric": "val_loss", "direction": "minimize"},
    "trials": {"budget": 1},
}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


class Follower:
    """A person at a terminal who follows a job."""

    def __init__(self, url: str, act: Callable[[Remote, Console], dict[str, Any]]) -> None:
        self.text = io.StringIO()
        self.remote = Remote(url, None)
        self.pool = ThreadPoolExecutor(1)
        self.done: Future[dict[str, Any]] = self.pool.submit(
            act, self.remote, Console(file=self.text, width=80)
        )

    def result(self) -> dict[str, Any]:
        try:
            return self.done.result(60)
        finally:
            self.pool.shutdown()
            self.remote.close()

    def wait_for(self, line: str) -> None:
        """Return once a line was printed; whoever follows must not have ended before."""
        while line not in self.text.getvalue():
            assert not self.done.done(), (line, self.text.getvalue(), self.done.exception())

    def lines(self) -> list[str]:
        """Return what was printed, without the time of day."""
        return [line.partition("  ")[2] for line in self.text.getvalue().splitlines()]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    monkeypatch.setattr("search.service.api.feed.LOOK_S", 0.01)


def follow(served: Served) -> Follower:
    job = served.get(f"/jobs/{TOLD}")
    return Follower(served.url, lambda remote, console: remote.follow(job, console))


@pytest.mark.usefixtures("quick")
class TestFollow:
    def test_a_job_is_told_to_its_end(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path)) as served:
            lease, study = begin(served)
            follower = follow(served)
            follower.wait_for("running")
            train(study, 0.5, 0.75)
            follower.wait_for("complete after 2 epochs")
            train(study, 0.25)
            study.shut()
            end(served, lease)
            assert follower.result()["status"] == "finished"
        status, first, second, last = follower.lines()
        assert (status, last) == ("running", "finished")
        assert re.fullmatch(r"000 .* complete after 2 epochs  val_accuracy 0\.7500  1/4", first)
        assert re.fullmatch(r"001 .* complete after 1 epoch  val_accuracy 0\.2500  2/4", second)

    def test_a_service_may_go_away_and_come_back(self, tmp_path: Path) -> None:
        home, port = fresh(tmp_path), free_port()
        with ExitStack() as stack:
            with serving(home, port=port) as served:
                lease, study = begin(served)
                follower = follow(served)
                train(study, 0.5, 0.75)
                follower.wait_for("000 ")
            store = open_existing(home)
            stack.callback(store.close)
            lease.store = store
            train(study, 0.25)
            assert not follower.done.done()
            with serving(home, port=port) as served:
                follower.wait_for("001 ")
                train(study, 0.125)
                study.shut()
                end(served, lease)
                assert follower.result()["status"] == "finished"
        numbers = [line[:3] for line in follower.lines()]
        assert numbers == ["run", "000", "001", "002", "fin"]

    def test_a_service_that_stays_away_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE_S", 0.2)
        with serving(fresh(tmp_path)) as served:
            _, study = begin(served)
            study.shut()
            follower = follow(served)
            follower.wait_for("running")
        with pytest.raises(
            ServerError, match=f"went away: .*; job {TOLD} goes on without"
        ) as raised:
            follower.result()
        assert not raised.value.asked_wrong

    def test_a_job_that_was_quiet_for_long_is_not_given_up(
        self, scripted: Callable[[Iterator[float | Exception | None]], dict[str, Any]]
    ) -> None:
        """What counts is for how long the service is away, not since when the job said nothing."""
        gone = requests.ConnectionError("gone")
        assert scripted(iter([1000.0, gone, 1000.0, gone, gone, 1000.0, None])) == {
            "status": "finished"
        }

    def test_a_token_that_is_revoked_meanwhile_is_told_at_once(
        self, scripted: Callable[[Iterator[float | Exception | None]], dict[str, Any]]
    ) -> None:
        revoked = ServerError("the token is not valid", final=True)
        with pytest.raises(ServerError, match="the token is not valid"):
            scripted(iter([1.0, revoked]))

    def test_a_stream_is_taken_up_after_the_last_id_that_it_gave(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remote = Remote("http://127.0.0.1:1", None)
        asked: list[str | None] = []

        def events(_: str, since: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
            asked.append(since)
            yield from (("", "", {}), (str(len(asked)), "", {}), ("", "", {}))
            if len(asked) < 3:
                raise requests.ConnectionError("broken")

        monkeypatch.setattr(remote, "events", events)
        monkeypatch.setattr(remote, "show", lambda _: {"status": "finished"})
        remote.follow(JOB, Console(quiet=True))
        remote.close()
        assert asked == [None, "1", "2"]

    @pytest.fixture
    def scripted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[Iterator[float | Exception | None]], dict[str, Any]]:
        """Follows a job whose streams last so many quiet seconds, fail at once, or end well."""
        now = 0.0
        # Of the client alone: by the process's clock a service of another test may just then wait,
        # and would for as long as the machine has been up.
        clock = SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None)
        monkeypatch.setattr(module, "time", clock)

        def run(streams: Iterator[float | Exception | None]) -> dict[str, Any]:
            def events(*_: object) -> Iterator[tuple[str, str, dict[str, Any]]]:
                nonlocal now
                stream = next(streams)
                if isinstance(stream, Exception):
                    raise stream
                yield "", "", {}
                if stream is not None:
                    now += stream
                    raise requests.ConnectionError("broken")

            remote = Remote("http://127.0.0.1:1", None)
            monkeypatch.setattr(remote, "events", events)
            monkeypatch.setattr(remote, "show", lambda _: {"status": "finished"})
            try:
                return remote.follow(JOB, Console(quiet=True))
            finally:
                remote.close()

        return run

    def test_a_job_that_is_deleted_meanwhile(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path)) as served:
            lease, study = begin(served)
            study.shut()
            follower = follow(served)
            follower.wait_for("running")
            delete_rows(lease)
            with pytest.raises(JobNotFoundError, match=f"no job is called '{TOLD}'"):
                follower.result()

    def test_a_job_that_fails_is_told_with_its_reason(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path)) as served:
            lease, study = begin(served)
            study.shut()
            follower = follow(served)
            follower.wait_for("running")
            JobRow(lease).end("failed", "no space is left")
            assert follower.result()["status"] == "failed"
        assert follower.lines() == ["running", "failed: no space is left"]


@pytest.mark.usefixtures("quick")
class TestLaunch:
    @pytest.fixture
    def document(self, tmp_path: Path) -> Path:
        (tmp_path / "job.yaml").write_text(DOCUMENT)
        return tmp_path / "job.yaml"

    def test_a_job_is_launched_and_followed(self, tmp_path: Path, document: Path) -> None:
        with serving(fresh(tmp_path / "home")) as served:
            follower = Follower(
                served.url,
                lambda remote, console: remote.launch(
                    document, ["budget.trials=1"], console, detach=False
                ),
            )
            follower.wait_for("queued")
            (job,) = served.get("/jobs")["jobs"]
            with Lease(served.store, job["id"]) as lease:
                JobRow(lease).begin()
                study = open_study(served.store, lease, make_spec("budget.trials=1"))
                train(study, 0.5)
                study.shut()
                JobRow(lease).end("finished", None)
            assert follower.result()["id"] == job["id"]
        said = follower.text.getvalue()
        assert said.startswith(f"job {job['id']}   service: {served.url}\n")
        assert follower.lines()[-1] == "finished"

    @pytest.mark.parametrize("command", ["launch", "resume"])
    def test_nobody_waits_for_a_detached_job(
        self, tmp_path: Path, document: Path, command: str
    ) -> None:
        with serving(fresh(tmp_path / "home")) as served:
            if command == "resume":
                add_job(served.store, SPEC, status="stopped")
            key = str(document) if command == "launch" else "tiny"
            done = call(command, key, "--detach", "--json", "--server", served.url)
            job = json.loads(done.stdout)
            assert (done.exit_code, job["status"]) == (0, "queued")
            assert served.get("/jobs/tiny")["id"] == job["id"]

    def test_a_detached_job_is_shown_to_a_person(self, tmp_path: Path, document: Path) -> None:
        with serving(fresh(tmp_path / "home")) as served:
            options = ("--detach", "--priority", "3", "--server", served.url)
            done = call("launch", str(document), *options)
            (job,) = served.get("/jobs")["jobs"]
        assert (done.exit_code, job["priority"]) == (0, 3)
        assert done.stdout.startswith(f"job {job['id']}   service: {served.url}\n")
        assert f"{job['id']}  queued" in done.stdout

    def test_a_job_that_waits_is_stopped_at_once(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path)) as served:
            add_job(served.store, SPEC, status="queued", supervised=True)
            done = call("stop", "tiny", "--server", served.url)
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout == f"job {TOLD} is stopped; `gatetune resume {TOLD}` goes on\n"

    def test_a_stop_waits_until_the_driver_has_given_the_job_back(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path)) as served:
            lease, study = begin(served)
            study.shut()
            follower = Follower(served.url, lambda remote, _: remote.stop("tiny"))
            while not served.read(TOLD).stop_requested:
                assert not follower.done.done()
            JobRow(lease).end("stopped", None)
            assert follower.result()["status"] == "stopped"

    def test_a_stop_does_not_wait_for_ever(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE_S", 0.0)
        with serving(fresh(tmp_path)) as served:
            begin(served)[1].shut()
            done = call("stop", "tiny", "--server", served.url)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == f"gatetune: job {TOLD} was asked to stop 0 s ago, but runs still\n"
