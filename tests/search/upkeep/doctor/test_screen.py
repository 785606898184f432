"""What `gatetune doctor` says, to people and to programs, and how it ends."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from search.commands.cli import app
from search.upkeep.doctor.examination import JobReport, Report
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.screen import HOPELESS, page
from search.upkeep.doctor.steps import SendAgain
from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills import ILLS


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_no_jobs_agree(home: Path) -> None:
    assert (call().exit_code, call().stdout) == (
        0,
        "no jobs yet; `gatetune launch JOB.yaml` starts one\n",
    )
    assert json.loads(call("--json").stdout) == {"agree": True, "jobs": [], "findings": []}
    assert not home.exists()


def test_a_job_that_is_not_there(home: Path) -> None:
    result = call("nobody")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("gatetune: there are no jobs in")


@pytest.mark.usefixtures("patient")
def test_an_unknown_job_names_those_that_there_are() -> None:
    result = call("nobody")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"gatetune: no job is called 'nobody'; the newest are {JOB}\n"


@pytest.mark.usefixtures("patient")
def test_a_job_in_order() -> None:
    result = call("tiny")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"✓ {JOB}  finished  12 trials, 39 epochs, 13 MLflow runs: all agree\n"
    )


def test_a_disorder_is_said_with_its_repair_and_repaired(patient: Patient) -> None:
    ILLS["a_deleted_run"].plant(patient)
    shown = call(JOB)
    assert shown.exit_code == 1
    assert f"✗ {JOB}  finished" in shown.stdout
    assert "trial 1 run-missing-in-mlflow: its run" in shown.stdout
    assert f"`gatetune doctor {JOB} --repair` repairs 1 of 1" in shown.stdout
    told = call("--json", "--repair")
    assert told.exit_code == 0
    (job,) = json.loads(told.stdout)["jobs"]
    assert (job["id"], job["status"], job["agree"]) == (JOB, "finished", True)
    assert job["examined"] == {"trials": 12, "epochs": 39, "runs": 13}
    (finding,) = job["findings"]
    assert finding.keys() == {"kind", "subject", "message", "repair", "repaired"}
    assert (finding["repair"], finding["repaired"]) == ("redeliver", True)
    assert call().stdout.endswith("all agree\n")


def test_what_cannot_be_repaired_says_why(patient: Patient) -> None:
    ILLS["a_value_that_is_not_the_best_epochs"].plant(patient)
    shown = call("--repair")
    assert shown.exit_code == 1
    assert f"champion-differs: {HOPELESS['champion-differs']}" in " ".join(shown.stdout.split())
    assert "--repair" not in shown.stdout


def printed(report: Report, *, repair: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    page(console, report.as_json(), repair=repair)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_running_job_is_left_alone() -> None:
    report = Report([JobReport(JOB, "running", running=True)])
    assert report.agree
    assert printed(report) == f"· {JOB} is running; it is examined once it has ended\n"


def test_many_findings_are_cut_and_markup_is_text() -> None:
    findings = [Finding("odd", "trial [/b]", f"{n} [/red]", SendAgain((JOB, n))) for n in range(60)]
    shown = printed(Report([JobReport(JOB, "failed", findings=findings)]), repair=True)
    assert "odd: 0 [/red]" in shown
    assert "and 10 more; `gatetune doctor --json` has all" in shown
    assert "try again" in shown


def test_files_of_no_job_stand_at_the_end() -> None:
    report = Report(findings=[Finding("job-unknown", "file x", "nobody knows it", None)])
    assert printed(report).splitlines()[0] == "✗ files of no job"
