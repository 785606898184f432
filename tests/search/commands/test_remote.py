"""A service answers the commands as the installation itself would, and may go away meanwhile."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.console import Console
from typer.testing import CliRunner, Result

from search.commands.cli import app
from search.commands.local import Local
from search.commands.remote import Remote
from search.common.faults import SpecError
from search.common.home import Home
from search.database.tables import Job
from search.jobs.jobs import JobNotFoundError, NotPossibleError
from search.jobs.listing import Wanted
from search.winner.fetching import ANSWERS, FILES, REPORTS, Choice
from tests.search.conftest import DOCUMENT, add_job, dead_owner
from tests.search.installations import installed
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, TOLD, tell
from tests.search.service.api.world import settings

FETCHED = [name for name in (*FILES, *REPORTS) if name != ANSWERS]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation that is served: a finished job and others. No test may change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATETUNE_HOME", str(tmp_path_factory.mktemp("here")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with serving(installed()) as service:
            values = {"owner": "ada", "created_at": 2.0}
            add_job(service.store, SPEC, "waits-0001", status="queued", supervised=True, **values)
            add_job(service.store, SPEC, "ended-0001", status="stopped", created_at=1.0)
            tell(service)
            with service.store.session() as session:
                # So long ago that two commands say the same of it.
                session.get_one(Job, TOLD).created_at = 3.0
            yield service


@pytest.fixture
def here(
    installation: Served, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Served:
    """The same, as this machine's, called from a folder with documents."""
    monkeypatch.setenv("GATETUNE_HOME", str(installation.home.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(DOCUMENT)
    (tmp_path / "bad.yaml").write_text(f"{DOCUMENT}seed: -1\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    return installation


@pytest.fixture
def desks(here: Served) -> Iterator[tuple[Local, Remote]]:
    with ExitStack() as stack:
        local, remote = Local(Home.from_environment()), Remote(here.url, None)
        stack.callback(local.close)
        stack.callback(remote.close)
        yield local, remote


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


QUIET = Console(quiet=True)


class TestBothDesks:
    @pytest.mark.parametrize(
        "wanted",
        [Wanted(), Wanted(limit=1), Wanted(status="stopped"), Wanted(name="tiny", owner="ada"),
         Wanted(in_turn=True),
         Wanted(owner="nobody")],
        ids=str,
    )  # fmt: skip
    def test_the_same_list(self, desks: tuple[Local, Remote], wanted: Wanted) -> None:
        local, remote = desks
        assert remote.jobs(wanted) == local.jobs(wanted)

    def test_the_same_page_after_a_page(self, desks: tuple[Local, Remote]) -> None:
        local, remote = desks
        (first,), cursor = remote.jobs(Wanted(limit=1))
        assert remote.jobs(Wanted(limit=1, cursor=cursor)) == local.jobs(
            Wanted(limit=1, cursor=cursor)
        )
        assert first["id"] == TOLD

    @pytest.mark.parametrize("key", [TOLD, "tiny", "waits-0001", "ended-0001"])
    def test_the_same_job_and_trials(self, desks: tuple[Local, Remote], key: str) -> None:
        local, remote = desks
        assert remote.show(key) == local.show(key)
        assert remote.trials(key) == local.trials(key)

    @pytest.mark.parametrize("key", [TOLD, None])
    def test_the_same_diagnosis(self, desks: tuple[Local, Remote], key: str | None) -> None:
        local, remote = desks
        told = remote.doctor(key, repair=False, quiet=True)
        assert told == local.doctor(key, repair=False, quiet=True)
        assert not told["agree"]

    def test_the_same_files(self, desks: tuple[Local, Remote], tmp_path: Path) -> None:
        local, remote = desks
        assert remote.fetch("tiny", tmp_path / "a", Choice()) == local.fetch(
            "tiny", tmp_path / "b", Choice()
        )
        for name in FETCHED:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(FETCHED)

    @pytest.mark.parametrize(
        ("error", "ask"),
        [
            (JobNotFoundError, lambda desk: desk.show("tinny")),
            (JobNotFoundError, lambda desk: desk.trials("tinny")),
            (JobNotFoundError, lambda desk: desk.stop("tinny")),
            (JobNotFoundError, lambda desk: desk.fetch("tinny", Path("x"), Choice())),
            (JobNotFoundError, lambda desk: desk.delete("tinny")),
            (JobNotFoundError, lambda desk: desk.doctor("tinny", repair=True, quiet=True)),
            (JobNotFoundError, lambda desk: desk.show("b?c#d%2f%00 é\0\n")),
            (JobNotFoundError, lambda desk: desk.resume("tinny", QUIET, detach=False)),
            (NotPossibleError, lambda desk: desk.stop("ended-0001")),
            (NotPossibleError, lambda desk: desk.fetch("ended-0001", Path("x"), Choice())),
            (NotPossibleError, lambda desk: desk.fetch("tiny", Path("mine"), Choice())),
            (NotPossibleError, lambda desk: desk.fetch("tiny", Path("job.yaml"), Choice())),
            (NotPossibleError, lambda desk: desk.delete("waits-0001")),
            (NotPossibleError, lambda desk: desk.delete("tiny")),
            (SpecError, lambda desk: desk.launch(Path("bad.yaml"), ["a"], QUIET, detach=False)),
            (SpecError, lambda desk: desk.launch(Path("none.yaml"), [], QUIET, detach=False)),
        ],
    )
    def test_the_same_errors(
        self, desks: tuple[Local, Remote], error: type[Exception], ask: Callable[[Any], Any]
    ) -> None:
        local, remote = desks
        with pytest.raises(error, match=r"\w") as there:
            ask(remote)
        with pytest.raises(error, match=f"^{re.escape(str(there.value))}$"):
            ask(local)


COMMANDS = [
    ["jobs"], ["jobs", "--json"], ["jobs", "--status", "stopped"], ["jobs", "--name", "x"],
    ["jobs", "--owner", "ada", "--limit", "1", "--json"], ["jobs", "--limit", "1"],
    ["jobs", "--status", "dead"], ["jobs", "--limit", "0"],
    ["show", "tiny"], ["show", "tiny", "--json"], ["show", "waits-0001"], ["show", "tinny"],
    ["trials", "tiny"], ["trials", "tiny", "--json"], ["trials", "tinny", "--json"],
    ["doctor"], ["doctor", "--json"], ["doctor", "tiny"], ["doctor", "tinny"],
    ["doctor", "ended-0001", "--json"],
    ["stop", "ended-0001"], ["stop", "tinny", "--json"], ["resume", "tinny"],
    ["fetch", "tiny", "--to", "mine"], ["fetch", "ended-0001", "--to", "x"],
    ["fetch", "tiny", "--to", "job.yaml"], ["fetch", "tinny", "--to", "x"],
    ["delete", "tiny"], ["delete", "tinny"], ["delete", "waits-0001"],
    ["promote", "ended-0001"], ["promote", "tinny"], ["champion", "nobody", "--json"],
    ["launch", "bad.yaml"], ["launch", "none.yaml"], ["launch", "job.yaml", "--set", "sampler=x"],
    ["launch", "job.yaml", "--set", "seed"],
]  # fmt: skip


def seen(result: Result) -> tuple[int, Any, str]:
    """Return what a command ends with, JSON as what it says."""
    try:
        said = json.loads(result.stdout)
    except ValueError:
        said = result.stdout
    return result.exit_code, said, result.stderr.strip()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_ends_the_same_with_and_without_a_service(
    here: Served, command: list[str]
) -> None:
    local = seen(call(*command))
    assert local[0] in {0, 1, 2}
    assert seen(call(*command, "--server", here.url)) == local
    assert seen(call(*command, GATETUNE_SERVER=here.url)) == local


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "/", "../jobs"])
@pytest.mark.parametrize("command", ["show", "trials", "stop", "resume", "delete", "doctor"])
def test_a_key_leads_to_no_other_path(here: Served, command: str, key: str) -> None:
    local, remote = call(command, key), call(command, key, "--server", here.url)
    assert (remote.exit_code, remote.stdout) == (local.exit_code, local.stdout) == (2, "")
    assert remote.stderr == f"gatetune: no job is called {key!r}\n"


def test_a_fetched_model_is_the_same_with_and_without_a_service(
    here: Served, tmp_path: Path
) -> None:
    for folder, more in (("a", []), ("b", ["--server", here.url])):
        done = call("fetch", "tiny", "--to", folder, "--json", *more)
        assert json.loads(done.stdout) == {"folder": folder, "files": FETCHED}
    for name in FETCHED:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.fixture
def mine(home: Path) -> Iterator[Served]:
    """This machine's installation, which a test may change."""
    with serving(installed()) as service:
        yield service


def test_a_repair_over_a_service_is_one(mine: Served) -> None:
    add_job(mine.store, SPEC, lease_owner=dead_owner(), lease_until=2e9)
    assert call("doctor", "--json", "--server", mine.url).exit_code == 1
    done = call("doctor", "tiny", "--repair", "--json", "--server", mine.url)
    assert done.exit_code == 0
    (job,) = json.loads(done.stdout)["jobs"]
    assert all(one["repaired"] for one in job["findings"])
    assert call("doctor", "--json").exit_code == 0


def test_a_job_is_deleted_over_a_service(mine: Served) -> None:
    add_job(mine.store, SPEC, status="stopped")
    done = call("delete", TOLD, "--json", "--server", mine.url)
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"deleted": TOLD})
    assert call("show", TOLD).exit_code == 2


class TestTokens:
    @pytest.fixture
    def network(self, tmp_path: Path) -> Iterator[Served]:
        with serving(fresh(tmp_path / "network"), settings()) as service:
            yield service

    def test_the_callers_is_taken_from_the_environment(self, network: Served) -> None:
        add_job(network.store, SPEC, owner="ada")
        token = network.token("ada", "view")
        done = call("jobs", "--json", GATETUNE_SERVER=network.url, GATETUNE_TOKEN=token)
        assert [job["id"] for job in json.loads(done.stdout)] == [TOLD]

    @pytest.mark.parametrize(
        ("token", "said"),
        [
            ("", "a token is needed: `Authorization: Bearer gt_…`; GATETUNE_TOKEN holds the"),
            ("gt_0a_x", "the token is not valid; it may have been revoked; GATETUNE_TOKEN holds"),
            ("gt_1_é", "GATETUNE_TOKEN must be a token such as gt_…, but holds other signs"),
            ("gt_1_x\nHost: evil", "GATETUNE_TOKEN must be a token such as gt_…"),
            ("gt_1_x ", "GATETUNE_TOKEN must be a token such as gt_…"),
        ],
        ids=repr,
    )
    def test_one_that_is_none(self, network: Served, token: str, said: str) -> None:
        done = call("jobs", GATETUNE_SERVER=network.url, GATETUNE_TOKEN=token)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"gatetune: {said}")
        assert done.stderr.count("\n") == 1
        assert not token or token not in done.stderr

    def test_an_empty_one_is_none_on_loopback(self, here: Served) -> None:
        done = call("jobs", "--json", GATETUNE_SERVER=here.url, GATETUNE_TOKEN="")
        assert done.exit_code == 0

    def test_one_that_may_not(self, network: Served, document: Path) -> None:
        token = network.token("ada", "view")
        done = call("launch", str(document), GATETUNE_SERVER=network.url, GATETUNE_TOKEN=token)
        assert done.exit_code == 2
        assert done.stderr == "gatetune: this needs the role launch, but the token has view\n"

    @pytest.fixture
    def document(self, tmp_path: Path) -> Path:
        (tmp_path / "job.yaml").write_text(DOCUMENT)
        return tmp_path / "job.yaml"


def test_the_address_of_the_interface_is_one_of_the_service(here: Served) -> None:
    done = call("show", "tiny", "--server", f"{here.url}/api/v1/")
    assert done.exit_code == 0, done.stderr


def test_a_launch_whose_answer_is_lost_makes_one_job(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text(DOCUMENT)
    with serving(fresh(home)) as service:
        remote = Remote(service.url, None)
        request, answers = remote.session.request, []

        def lose_the_first(*arguments: Any, **given: Any) -> Any:
            answers.append(request(*arguments, **given))
            if len(answers) == 1:
                raise requests.ConnectionError("Connection reset by peer")
            return answers[-1]

        monkeypatch.setattr(remote.session, "request", lose_the_first)
        job = remote.launch(tmp_path / "job.yaml", [], QUIET, detach=True, priority=7)
        remote.close()
        assert job["priority"] == 7
        assert [answer.status_code for answer in answers] == [201, 200]
        assert [one["id"] for one in service.get("/jobs")["jobs"]] == [job["id"]]


def test_a_service_in_trouble_is_no_mistake_of_the_caller(
    here: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> object:
        raise RuntimeError

    monkeypatch.setattr(here.service, "show", broken)
    done = call("show", "tiny", "--server", here.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "gatetune: the service failed; see its log\n"
