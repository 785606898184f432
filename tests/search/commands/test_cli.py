"""The commands: help for each one, one message for each fault, JSON for programs."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.commands.cli import app, main
from search.common.home import Home
from search.database.lease import Lease
from search.database.store import Store
from search.winner.fetching import ANSWERS, FILES, REPORTS
from tests.search.called import call, refused
from tests.search.conftest import add_job, make_spec
from tests.search.installations import installed
from tests.servers import free_port

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)  # type: ignore[union-attr]


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_an_example(self, command: str) -> None:
        result = call(command, "--help")
        assert result.exit_code == 0
        assert f"Example: gatetune {command}" in result.stdout

    def test_there_is_one_for_all(self) -> None:
        result = call("--help")
        assert result.exit_code == 0
        assert [name for name in COMMANDS if f" {name} " not in result.stdout] == []

    def test_it_says_which_version_it_is(self) -> None:
        result = call("--version")
        assert (result.exit_code, result.stdout) == (0, f"gatetune {version('gatetune')}\n")

    def test_a_full_disk_is_one_message(self) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "search", "--version"],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        said = "gatetune: what this writes: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, said)

    def test_it_runs_as_a_module(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "search", "--help"], capture_output=True, text=True, check=True
        )
        assert "launch" in done.stdout
        assert done.stderr == ""

    def test_commands_start_without_the_heavy_libraries(self) -> None:
        script = (
            "import sys, search.commands.cli; heavy = {'torch', 'ray', 'mlflow', 'optuna',"
            " 'sqlalchemy', 'pydantic', 'numpy'};"
            "print(sorted(heavy & sys.modules.keys()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("[]\n", "")

    @pytest.mark.parametrize("command", [["show", "tiny"], ["trials", "tiny"], ["jobs"]])
    def test_those_that_only_look_do_without_optuna(
        self, finished: Path, command: list[str]
    ) -> None:
        script = (
            "import sys; from search.commands.cli import app; app(standalone_mode=False);"
            " heavy = {'torch', 'ray', 'mlflow', 'optuna', 'alembic', 'numpy', 'requests'};"
            " print(sorted(heavy & sys.modules.keys()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *command], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"


READERS = [
    ["resume", "tiny"],
    ["stop", "tiny"],
    ["show", "tiny"],
    ["trials", "tiny"],
    ["fetch", "tiny", "--to", "model"],
    ["delete", "tiny"],
    ["doctor", "tiny"],
]


@pytest.mark.parametrize("arguments", READERS, ids=lambda one: one[0])
class TestUnknownJobs:
    def test_where_nothing_was_launched(
        self, home: Path, document: Path, arguments: list[str]
    ) -> None:
        refused(call(*arguments), f"there are no jobs in {home}")
        assert not home.exists()

    def test_among_others(self, finished: Path, document: Path, arguments: list[str]) -> None:
        command, _, *rest = arguments
        refused(call(command, "tinny", *rest), "no job is called 'tinny'", "tiny-0001")
        assert not (document.parent / "model").exists()

    def test_an_unreachable_database(
        self, home: Path, document: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
    ) -> None:
        monkeypatch.setenv("GATETUNE_DATABASE_URL", f"postgresql://127.0.0.1:{free_port()}/x")
        refused(call(*arguments), "cannot use the database postgresql+psycopg://127.0.0.1")
        assert not home.exists()


class TestFinishedJob:
    def test_it_cannot_be_resumed_or_stopped(self, finished: Path) -> None:
        refused(call("resume", "tiny"), "job tiny-0001 is finished; there is nothing to resume")
        refused(call("stop", "tiny"), "job tiny-0001 is finished, so there is nothing to stop")

    def test_its_model_is_fetched(self, finished: Path, document: Path) -> None:
        result = call("fetch", "tiny", "--to", "model", "--json")
        names = [name for name in (*FILES, *REPORTS) if name != ANSWERS]
        assert json.loads(result.stdout) == {"folder": "model", "files": names}
        assert sorted(path.name for path in (document.parent / "model").iterdir()) == sorted(names)
        assert call("fetch", "tiny", "--to", "model").stdout.startswith("model/: model.pt2, ")

    def test_one_format_of_its_model_is_fetched(self, finished: Path, document: Path) -> None:
        result = call("fetch", "tiny", "--to", "model", "--format", "safetensors", "--json")
        assert json.loads(result.stdout)["files"] == [
            "weights.safetensors", "config.json", "metrics.json", "README.md", "SHA256SUMS",
            *REPORTS,
        ]  # fmt: skip
        asked = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
        subprocess.run(asked, cwd=document.parent / "model", check=True)
        wrong = call("fetch", "tiny", "--to", "model", "--format", "tflite")
        refused(wrong, "--format must be one of pt2, onnx, safetensors, but got 'tflite'")

    def test_its_report_is_told_and_written(self, finished: Path, document: Path) -> None:
        assert "GRU 16x1 lr 0.01 reached validation accuracy" in call("report", "tiny").stdout
        told = json.loads(call("report", "tiny", "--json").stdout)
        assert told["job"] == "tiny-0001"
        for name, begins in (("a.html", "<!doctype html>"), ("a.md", "# tiny")):
            assert call("report", "tiny", "--to", name).stdout == f"{name} is written\n"
            assert (document.parent / name).read_text().startswith(begins)
        wrong = call("report", "tiny", "--to", "a.pdf")
        refused(wrong, "--to must name a file that ends in .html or .md, but got 'a.pdf'")
        refused(
            call("report", "tiny", "--to", "no/a.md"), "no/a.md must be writable, but No such file"
        )

    def test_its_model_goes_into_no_folder_with_other_files(
        self, finished: Path, document: Path
    ) -> None:
        (document.parent / "mine").mkdir()
        (document.parent / "mine" / "thesis.tex").write_text("mine")
        refused(call("fetch", "tiny", "--to", "mine"), "but mine holds thesis.tex")
        assert len(list((document.parent / "mine").iterdir())) == 1

    def test_it_is_shown_and_listed(self, finished: Path) -> None:
        shown = json.loads(call("show", "tiny", "--json").stdout)
        assert (shown["id"], shown["status"]) == ("tiny-0001", "finished")
        (listed,) = json.loads(call("jobs", "--json").stdout)
        assert {name: shown[name] for name in listed.keys() & shown.keys()} == {
            name: listed[name] for name in listed.keys() & shown.keys()
        }
        assert listed["confirmed_mean"] == shown["confirmed"]["validation_mean"]
        assert json.loads(call("trials", "tiny", "--json").stdout) == []
        assert call("show", "tiny").stdout.startswith("tiny-0001  finished  3:07 min")
        assert "tiny-0001" in call("jobs").stdout
        assert "best epoch" in call("trials", "tiny").stdout


@pytest.fixture
def several(home: Path) -> Path:
    """An installation with jobs of several names, owners and states."""
    found = Home.from_environment()
    found.create()
    opened = Store.open(found.database_url)
    for number, (name, owner, status) in enumerate(
        [("rows", "ada", "stopped"), ("rows", "bob", "failed"), ("walks", "ada", "failed")]
    ):
        add_job(
            opened, make_spec(f"name={name}"), f"{name}-{number}", owner=owner, status=status,
            created_at=float(number),
        )  # fmt: skip
    opened.close()
    return home


class TestJobs:
    @pytest.mark.parametrize(
        ("filters", "ids"),
        [
            ([], ["walks-2", "rows-1", "rows-0"]),
            (["--status", "failed"], ["walks-2", "rows-1"]),
            (["--name", "rows"], ["rows-1", "rows-0"]),
            (["--owner", "ada"], ["walks-2", "rows-0"]),
            (["--name", "rows", "--owner", "ada"], ["rows-0"]),
            (["--status", "queued"], []),
            (["--owner", "nobody"], []),
            (["--limit", "1"], ["walks-2"]),
        ],
        ids=" ".join,
    )
    def test_filters(self, several: Path, filters: list[str], ids: list[str]) -> None:
        result = call("jobs", *filters, "--json")
        assert (result.exit_code, [job["id"] for job in json.loads(result.stdout)]) == (0, ids)
        shown = call("jobs", *filters).stdout
        assert [name for name in ("walks-2", "rows-1", "rows-0") if name in shown] == ids

    def test_that_there_are_more_is_said(self, several: Path) -> None:
        for form in ([], ["--json"]):
            assert "there are more; --limit" in call("jobs", "--limit", "2", *form).stderr
            assert call("jobs", "--limit", "3", *form).stderr == ""

    def test_an_unknown_status_names_those_that_there_are(self, several: Path) -> None:
        refused(
            call("jobs", "--status", "dead"),
            "--status must be one of queued, running, stopped, failed, finished, but got 'dead'",
        )

    @pytest.mark.parametrize("limit", ["0", "1001", "x"])
    def test_a_limit_that_is_none(self, several: Path, limit: str) -> None:
        result = call("jobs", "--limit", limit)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--limit" in result.stderr


class TestDelete:
    @pytest.fixture
    def tracked(self, home: Path) -> Path:
        """An installation with a real MLflow and a job that has ended."""
        opened = Store.open(installed().database_url)
        add_job(opened, make_spec(), status="stopped")
        opened.close()
        return home

    def test_a_job_is_deleted_for_good(self, tracked: Path) -> None:
        result = call("delete", "tiny-0001")
        assert (result.exit_code, result.stdout) == (0, "job tiny-0001 is deleted\n")
        assert json.loads(call("jobs", "--json").stdout) == []
        refused(call("delete", "tiny-0001"), "no job is called 'tiny-0001'; there are none yet")

    def test_programs_are_told_what_was_deleted(self, tracked: Path) -> None:
        result = call("delete", "tiny-0001", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (0, {"deleted": "tiny-0001"})

    def test_a_name_will_not_do(self, tracked: Path) -> None:
        refused(call("delete", "tiny"), "to delete it, name the job by its id: tiny-0001")
        assert len(json.loads(call("jobs", "--json").stdout)) == 1

    def test_a_job_that_runs_is_stopped_first(
        self, home: Path, owned: Callable[..., Lease]
    ) -> None:
        found = Home.from_environment()
        found.create()
        opened = Store.open(found.database_url)
        owned(opened, make_spec())
        refused(call("delete", "tiny-0001"), "is running; `gatetune stop tiny-0001` comes first")
        opened.close()


def test_an_empty_server_is_none(finished: Path) -> None:
    result = CliRunner().invoke(app, ["show", "tiny", "--json"], env={"GATETUNE_SERVER": ""})
    assert (result.exit_code, json.loads(result.stdout)["id"]) == (0, "tiny-0001")


def test_a_job_that_another_driver_runs_cannot_be_resumed(
    home: Path, owned: Callable[..., Lease]
) -> None:
    found = Home.from_environment()
    found.create()
    opened = Store.open(found.database_url)
    owned(opened, make_spec())
    refused(call("resume", "tiny"), "job tiny-0001 is run by another driver", "`gatetune stop")
    opened.close()


def test_no_jobs_are_an_empty_list(home: Path) -> None:
    result = call("jobs", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert call("jobs").stdout.startswith(f"no jobs yet in {home}; ")
    assert not home.exists()


@pytest.mark.parametrize(
    "arguments", [["lanch"], ["launch"], ["show"], ["fetch", "tiny"], ["jobs", "--jsn"]]
)
def test_a_wrong_command_line(home: Path, arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
    assert not home.exists()


def test_a_file_that_is_no_database(home: Path) -> None:
    home.mkdir()
    (home / "gatetune.db").write_text("not a database" * 100)
    refused(call("jobs"), "cannot use the database sqlite:///", "file is not a database")


def test_a_terminal_that_does_not_know_a_letter_gets_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, "ascii", write_through=True))
    monkeypatch.setattr("search.commands.cli.app", lambda: sys.stdout.write("0.98 – 1.00"))
    main()
    assert shown.getvalue() == b"0.98 ? 1.00"
