"""The live view: what it reads, how it is left, how it ends, what it survives."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from search.commands import top
from search.commands.cli import app
from search.commands.desk import ServerError, UnansweredError
from search.commands.local import Local
from search.common.home import Home
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Job
from tests.search.conftest import add_job, finish_job, make_spec, open_study, train
from tests.search.service.api.served import fresh, serving
from tests.search.terminal import CLEAR, ENTER, LEAVE, Terminal
from tests.servers import free_port

SPEC = make_spec("workers={cpus: 2, gpus: 0.5}")


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The database of this machine's installation, which has a job that waits in the queue."""
    installed = Home.from_environment()
    installed.create()
    opened = Store.open(installed.database_url)
    add_job(opened, SPEC, "tiny-0001", status="queued", supervised=True, owner="ada")
    yield opened
    opened.close()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["top", *arguments])


def begin(store: Store, job_id: str, slots: int | None = None) -> None:
    """Let a job run: one trial has ended, another trains."""
    lease = Lease(store, job_id)
    lease.acquire()
    JobRow(lease).begin()
    JobRow(lease).set(slots=slots)
    study = open_study(store, lease, SPEC)
    train(study, 0.6, 0.8)
    study.report(train(study).number, 1, {"val_accuracy": 0.7}, "running")
    study.shut()


class TestWhatIsRead:
    def test_jobs_at_work_come_first_then_the_queue(self, store: Store) -> None:
        add_job(store, SPEC, "runs-0001", status="queued", created_at=1.0)
        begin(store, "runs-0001", slots=4)
        add_job(store, SPEC, "late-0001", status="queued", supervised=True)
        add_job(store, SPEC, "dear-0001", status="queued", supervised=True, priority=3)
        add_job(store, SPEC, "ended-0001", status="failed")
        shown = top.all_jobs(Local(Home.from_environment()))
        assert [job["id"] for job in shown["jobs"]] == [
            "runs-0001", "dear-0001", "tiny-0001", "late-0001", "ended-0001",
        ]  # fmt: skip
        assert (shown["running"], shown["queued"]) == (1, 3)
        assert shown["workers"] == {"trials": 1, "cpus": 2.0, "gpus": 0.5, "part": 0.25}

    def test_gpus_are_unknown_where_one_job_takes_as_many_as_fit(self, store: Store) -> None:
        for name, gpus in (("some-0001", 0.5), ("auto-0001", "auto")):
            add_job(store, make_spec(f"workers={{cpus: 1, gpus: {gpus}}}"), name, status="queued")
            begin(store, name, slots=4)
        assert top.all_jobs(Local(Home.from_environment()))["workers"]["gpus"] is None

    def test_a_job_has_its_trials(self, store: Store) -> None:
        begin(store, "tiny-0001")
        shown = top.one_job(Local(Home.from_environment()), "tiny")
        assert shown["job"]["best"]["value"] == 0.8
        assert [trial["state"] for trial in shown["trials"]] == ["complete", "running"]


class TestWithoutATerminal:
    def test_it_shows_once_and_ends(self, store: Store) -> None:
        result = call()
        assert result.exit_code == 0
        assert "0 running · 1 queued" in result.stdout
        assert "tiny-0001" in result.stdout
        assert "\x1b" not in result.stdout

    def test_one_job(self, store: Store) -> None:
        begin(store, "tiny-0001")
        result = call("tiny")
        assert result.exit_code == 0
        assert "best val_accuracy 0.8000" in result.stdout

    def test_nothing_yet(self, home: Path) -> None:
        assert "no jobs yet in" in " ".join(call().stdout.split())

    @pytest.mark.parametrize(
        ("arguments", "keys"),
        [((), {"place", "running", "queued", "workers", "jobs"}), (("tiny",), {"job", "trials"})],
    )
    def test_json(self, store: Store, arguments: tuple[str, ...], keys: set[str]) -> None:
        result = call(*arguments, "--json")
        assert result.exit_code == 0
        assert set(json.loads(result.stdout)) == keys

    def test_an_unknown_job(self, store: Store) -> None:
        result = call("tinny")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("gatetune: no job is called 'tinny'")


class TestReader:
    def test_what_went_away_may_come_back(self) -> None:
        answers: list[Exception | top.Shown] = [UnansweredError("no service answers"), {"n": 2}]

        def read() -> top.Shown:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        reader = top.Reader(read, {"n": 1})
        reader.once()
        assert (reader.shown, reader.trouble) == ({"n": 1}, "no service answers")
        reader.once()
        assert (reader.shown, reader.trouble) == ({"n": 2}, None)

    @pytest.mark.parametrize(
        "error", [ServerError("the token is not valid", final=True), LookupError("deleted")]
    )
    def test_what_refuses_us_ends_the_view(self, error: Exception) -> None:
        def read() -> top.Shown:
            raise error

        reader = top.Reader(read, {})
        reader.keep()
        assert reader.error is error


class TestAtATerminal:
    @pytest.mark.parametrize("key", ["q", "Q", "\x03"])
    def test_it_is_left_by_a_key_and_leaves_no_trace(self, store: Store, key: str) -> None:
        with Terminal("top") as terminal:
            terminal.until("tiny-0001")
            terminal.press("x")
            terminal.until("q leaves")
            terminal.press(key)
            assert terminal.end() == 0
            assert terminal.settings == terminal.before
        assert terminal.after.strip() == ""
        assert [terminal.output.count(code) for code in (ENTER, LEAVE, CLEAR)] == [1, 1, 0]

    def test_who_ends_the_process_gets_the_terminal_back(self, store: Store) -> None:
        with Terminal("top") as terminal:
            terminal.until("tiny-0001")
            terminal.process.terminate()
            assert terminal.end() == 143
            assert terminal.settings == terminal.before
        assert terminal.output.count(LEAVE) == 1

    @pytest.mark.parametrize(
        ("status", "code", "said"), [("stopped", 130, "it was ended"), ("failed", 1, "it broke")]
    )
    def test_a_job_that_ends_ends_it(self, store: Store, status: str, code: int, said: str) -> None:
        with Terminal("top", "tiny") as terminal:
            terminal.until("queued")
            with store.session() as session:
                session.execute(update(Job).values(status=status, message=said))
            assert terminal.end() == code
        assert said in terminal.after

    def test_a_job_that_finishes_says_what_it_found(self, store: Store) -> None:
        with Terminal("top", "tiny") as terminal:
            terminal.until("queued")
            finish_job(store, "tiny-0001")
            assert terminal.end() == 0
        assert "gatetune fetch tiny-0001 --to best-model" in terminal.after
        assert terminal.output.count(LEAVE) == 1

    def test_a_job_that_has_ended_is_told_at_once(self, store: Store) -> None:
        finish_job(store, "tiny-0001")
        with Terminal("top", "tiny") as terminal:
            assert terminal.end() == 0
        assert ENTER not in terminal.output
        assert "gatetune fetch tiny-0001" in terminal.after

    def test_a_service_that_restarts(self, store: Store, tmp_path: Path) -> None:
        port = free_port()
        with ExitStack() as stack:
            with serving(fresh(tmp_path / "first"), port=port) as service:
                add_job(service.store, SPEC, "first-0001")
                terminal = stack.enter_context(Terminal("top", "--server", service.url))
                terminal.until("first-0001")
            terminal.until("reconnecting")
            terminal.until("first-0001")
            with serving(fresh(tmp_path / "second"), port=port) as service:
                add_job(service.store, SPEC, "second-0001")
                terminal.until("second-0001")
                terminal.press("q")
                assert terminal.end() == 0


def test_a_service_that_is_not_there(home: Path) -> None:
    result = call("--server", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 2
    assert "no service answers" in result.stderr
