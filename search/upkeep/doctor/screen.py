"""What `gatetune doctor` prints for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from search.common.home import Home
from search.common.labels import counted
from search.database.store import Store
from search.jobs.jobs import find, open_existing
from search.upkeep.doctor.examination import Report, every_job, examining
from search.upkeep.doctor.treatment import doctor

MOST = 50
"""Findings of a job that are printed; `--json` has all."""


def run(home: Home, key: str | None, *, repair: bool, quiet: bool) -> Report:
    """Examine one job, or all without a ``key``, with a line that says how far the reading is.

    Raises:
        JobNotFoundError: there is no such job.
        StoreError: the database cannot be used.
    """
    if key is None and not Store.exists(home.database_url):
        return Report()
    store = open_existing(home)
    columns = (TextColumn("reading MLflow: {task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal  # elsewhere it would be an empty line
    shown = Progress(*columns, console=console, transient=True, disable=hidden)
    try:
        ids = every_job(store) if key is None else [find(store, key).id]
        with shown:
            task = shown.add_task("", total=None)

            def watch(job_id: str, done: int, total: int) -> None:
                shown.update(task, description=job_id, completed=done, total=total)

            with examining(home, store, watch) as examiner:
                return doctor(examiner, ids, repair=repair, everything=key is None)
    finally:
        store.close()


def page(console: Console, report: dict[str, Any], *, repair: bool) -> None:
    """Print what was found, a line a job, and what to do about it."""
    if not report["jobs"] and not report["findings"]:
        console.print("no jobs yet; `gatetune launch JOB.yaml` starts one")
        return
    for job in report["jobs"]:
        console.print(line(job), soft_wrap=True)
        print_findings(console, job["findings"])
        advise(console, job["findings"], job["id"], repaired=repair)
    if report["findings"]:
        console.print(f"{mark(agree=report['agree'])} files of no job")
        print_findings(console, report["findings"])
        advise(console, report["findings"], "", repaired=repair)


def mark(*, agree: bool) -> str:
    """Return the sign of a result."""
    return "[green]✓[/]" if agree else "[red]✗[/]"


def line(job: dict[str, Any]) -> str:
    """Return a job's result in one line."""
    if job["running"]:
        return f"[cyan]·[/] [bold]{job['id']}[/] is running; it is examined once it has ended"
    left = sum(not one["repaired"] for one in job["findings"])
    mended = len(job["findings"]) - left
    looked = job["examined"]
    examined = ", ".join(
        (
            counted(looked["trials"], "trial"),
            counted(looked["epochs"], "epoch"),
            counted(looked["runs"], "MLflow run"),
        )
    )
    said = "all agree" if not left else f"{left} disagree" if left > 1 else "1 disagrees"
    repaired = f", {mended} repaired" if mended else ""
    head = f"{mark(agree=job['agree'])} [bold]{job['id']}[/]  {job['status']}"
    return f"{head}  {examined}: {said}{repaired}"


def print_findings(console: Console, findings: list[dict[str, Any]]) -> None:
    """Print findings, those that are left first."""
    ordered = sorted(findings, key=lambda one: bool(one["repaired"]))
    for finding in ordered[:MOST]:
        how = "[green]repaired[/]" if finding["repaired"] else "[red]wrong[/]   "
        subject = f"[bold]{escape(finding['subject'])}[/] {finding['kind']}"
        console.print(f"    {how} {subject}: {escape(finding['message'])}", soft_wrap=True)
    if len(ordered) > MOST:
        console.print(f"    and {len(ordered) - MOST} more; `gatetune doctor --json` has all")


def advise(
    console: Console, findings: list[dict[str, Any]], job_id: str, *, repaired: bool
) -> None:
    """Say what to do about what is left."""
    left = [one for one in findings if not one["repaired"]]
    mendable = sum(one["repair"] is not None for one in left)
    if mendable and not repaired:
        command = " ".join(["gatetune doctor", *filter(None, [job_id]), "--repair"])
        console.print(f"    `{command}` repairs {mendable} of {len(left)}")
    elif mendable:
        console.print("    what could not be repaired now is said above; try again once it is gone")
    fatal = [one for one in left if one["repair"] is None and one["kind"] != "repair-failed"]
    for kind in dict.fromkeys(one["kind"] for one in fatal):
        console.print(f"    {kind}: {HOPELESS.get(kind, 'cannot be repaired from here')}")


HOPELESS = {
    "mlflow-unreachable": "start MLflow, or correct MLFLOW_TRACKING_URI, and ask again",
    "artifacts-unreachable": "mount the disk of MLflow's artifacts, or restore it, and ask again",
    "trial-missing": "what a lost trial was stands nowhere else",
    "trial-unended": "`gatetune resume` trains on",
    "epoch-damaged": "the study has no such epoch, or MLflow, which may have the rest, is away",
    "epoch-missing-in-journal": "MLflow, which may have what the study does not, is away",
    "epoch-missing-in-study": "the study of an ended trial takes no further values",
    "champion-differs": "the weights of another champion are no longer there",
    "champion-incomplete": "MLflow has no copy of the champion's files",
    "champion-damaged": "MLflow has no copy of the champion's files",
    "weights-missing": "a complete trial is not trained again; launch the job anew",
    "weights-damaged": "a complete trial is not trained again; launch the job anew",
    "epoch-doubled-in-mlflow": "MLflow never deletes a metric, and the model hangs on this run",
    "epoch-differs-in-mlflow": "MLflow never changes a metric, and the model hangs on this run",
    "epoch-unknown-in-mlflow": "MLflow never deletes a metric, and the model hangs on this run",
    "run-parameters-in-mlflow": "MLflow never changes a parameter, and the model hangs on this run",
    "job-unknown": "the database may be new or older; delete by hand what nobody needs",
}
"""Why a finding cannot be repaired, and what a person can do."""
