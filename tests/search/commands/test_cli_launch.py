"""What is not launched, and is told before there is a job: each fault in one message."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.commands.cli import app
from tests.search.called import call, refused
from tests.search.conftest import make_spec
from tests.servers import ObjectStore, free_port

DOCUMENT_FAULTS = [
    ("pruner.nam=median", "pruner.nam: unknown option of none; did you mean name?"),
    ("sampler=tpee", "did you mean tpe?"),
    ("data.source=digit", "did you mean digits?"),
    ("space.hidden_size.low=128", "hidden_size"),
    ("budget.trials=0", "budget.trials: must be at least 1, but got 0"),
    ("name=Has Blanks", "name: must be 1 to 64"),
    ("objective.metric=accuracy", "objective.metric: must be one of"),
    ("workers.concurrent=0", "workers.concurrent: must be auto or"),
    ("budget.target=2", "budget.target: must be above 0 and at most 1"),
    ("seed", "seed"),
    ("budgett.trials=3", "did you mean budget?"),
]


@pytest.mark.parametrize("command", ["check", "launch"])
class TestDocuments:
    @pytest.mark.parametrize(("setting", "fault"), DOCUMENT_FAULTS)
    def test_a_fault(
        self, home: Path, document: Path, command: str, setting: str, fault: str
    ) -> None:
        refused(call(command, "job.yaml", "--set", setting), fault)
        assert not home.exists()

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            (b"data: {source: digits}\nspaec: {}\n", "spaec: unknown key; did you mean space?"),
            (b"data: {source: [}\n", "line 1"),
            (b"- a list\n", "mapping"),
            (b"", "mapping"),
            (b"\xff\xfe\x00", "text"),
            (b"name: tiny\n", "data: is required"),
        ],
    )
    def test_a_broken_file(
        self, home: Path, document: Path, command: str, text: bytes, fault: str
    ) -> None:
        document.write_bytes(text)
        refused(call(command, "job.yaml"), fault)
        assert not home.exists()

    def test_a_missing_file(self, home: Path, document: Path, command: str) -> None:
        refused(call(command, "jobb.yaml"), "jobb.yaml")
        assert not home.exists()

    def test_a_folder(self, home: Path, document: Path, command: str) -> None:
        refused(call(command, str(document.parent)), str(document.parent))
        assert not home.exists()

    def test_two_faults_are_told_together(self, home: Path, document: Path, command: str) -> None:
        result = call(command, "job.yaml", "--set", "seed=-1", "--set", "sampler=x")
        refused(result, "2 faults", "seed: must be at least 0", "sampler.x: unknown sampler")


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        (
            "GATETUNE_DATABASE_URL",
            "postgresql://me:secret@127.0.0.1:{port}/x",
            "cannot use the data",
        ),
        ("GATETUNE_DATABASE_URL", "mysql://db/x", "must start with sqlite:/// or postgresql://"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{port}", "no MLflow server answers"),
        ("MLFLOW_TRACKING_URI", "databricks", "MLFLOW_TRACKING_URI must start with"),
        ("GATETUNE_CHECKPOINTS", "ftp://host/x", "GATETUNE_CHECKPOINTS must be a folder or a URL"),
        ("GATETUNE_CHECKPOINTS", "s3://me:secret@bucket/x", "CHECKPOINTS must name no password"),
        ("GATETUNE_CHECKPOINTS", "s3://bucket/x?what=1", "cannot be used: Unexpected query param"),
        ("GATETUNE_HOME", "{document}/inside", "GATETUNE_HOME must be a folder"),
        ("RAY_ADDRESS", "http://127.0.0.1:{port}", "RAY_ADDRESS must be HOST:PORT of a cluster"),
    ],
)
def test_launch_into_an_installation_that_cannot_be_used(
    home: Path,
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    fault: str,
) -> None:
    monkeypatch.setenv(setting, value.format(port=free_port(), document=document))
    result = CliRunner().invoke(app, ["launch", "job.yaml"])
    refused(result, fault)
    assert "secret" not in result.stderr
    assert not home.exists()


def test_launch_into_a_bucket_that_is_not_there(
    home: Path, document: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATETUNE_CHECKPOINTS", object_store.url("none/x"))
    refused(
        CliRunner().invoke(app, ["launch", "job.yaml"]),
        "GATETUNE_CHECKPOINTS must name a bucket that can be written to: s3://none/x cannot be use",
        "bucket does not exist",
    )
    assert not home.exists()


def test_a_gpu_where_there_is_none(home: Path, document: Path) -> None:
    """A real local Ray says what it has; one that has no GPU cannot place such a trial."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "search",
            "launch",
            "job.yaml",
            "--json",
            "--set",
            "workers.gpus=64",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=document.parent,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "gatetune: workers.gpus: a trial asks for 64 GPU, but the cluster has" in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_job_to_start_from_must_be_there(finished: Path, document: Path) -> None:
    launch = ("launch", str(document), "--set")
    refused(call(*launch, "warm_start=[nobody]"), "warm_start: no job is called 'nobody'")
    assert [job["id"] for job in json.loads(call("jobs", "--json").stdout)] == ["tiny-0001"]


def test_where_there_are_no_jobs_none_is_started_from(home: Path, document: Path) -> None:
    refused(call("launch", str(document), "--set", "warm_start=[a]"), "there are no jobs in")
    assert not home.exists()


@pytest.mark.parametrize("command", ["launch", "resume"])
def test_a_job_of_this_process_cannot_be_detached(
    finished: Path, document: Path, command: str
) -> None:
    refused(
        call(command, "job.yaml" if command == "launch" else "tiny", "--detach"),
        "--detach needs a service that runs the job: `gatetune up`, then --server URL",
    )
    assert len(json.loads(call("jobs", "--json").stdout)) == 1


@pytest.mark.parametrize("option", ["--detach", "--priority=1"])
def test_what_needs_a_queue_makes_no_installation(home: Path, document: Path, option: str) -> None:
    name, _, _ = option.partition("=")
    refused(call("launch", "job.yaml", option), f"{name} needs a service")
    assert not home.exists()


def test_check_loads_what_needs_no_network(home: Path, document: Path) -> None:
    result = call("check", "job.yaml", "--set", "data.validation=0.0001")
    assert result.exit_code == 2
    assert "each of the 10 classes needs a sequence in the validation part" in result.stderr
    assert call("check", "job.yaml", "--set", "data.source=mnist").exit_code == 0
    assert not home.exists()


def test_check_prints_the_document_with_every_default(home: Path, document: Path) -> None:
    result = call("check", "job.yaml", "--set", "seed=7", "--json")
    assert result.exit_code == 0
    assert result.stdout == json.dumps(json.loads(make_spec("seed=7").to_json()), indent=2) + "\n"
    assert call("check", "job.yaml").stdout.startswith("valid  job tiny on digits, seed 0\n")
    assert not home.exists()
