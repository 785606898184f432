"""Jobs as people see them: made from a document, listed, shown, asked to stop."""

import json
import math
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from search.common.home import Home
from search.common.labels import OPEN
from search.common.trial import parameters_of
from search.database.jobrow import parent_of
from search.database.lease import FREE, LIVE, driver_is_alive, live_status
from search.database.recorded import Recorded, trial_of, trials_of
from search.database.remaining import left_s
from search.database.store import Store, is_storable, undelivered
from search.database.tables import PARENT, Job, JournalRow, Run, confirmation
from search.jobs.listing import best_by_cell, best_trial, best_values, counts_by_state, counts_of

if TYPE_CHECKING:
    from search.document.spec import JobSpec


class JobNotFoundError(LookupError):
    """No job has the id or name that was asked for."""


class NotPossibleError(RuntimeError):
    """The job is not in a state in which this can be done."""


class NoChampionError(NotPossibleError):
    """No model of this name was ever the champion."""


def open_existing(home: Home) -> Store:
    """Open the database of an installation that exists.

    Raises:
        JobNotFoundError: nothing was ever launched there; nothing is created.
    """
    if not Store.exists(home.database_url):
        raise JobNotFoundError(f"there are no jobs in {home.path}; `gatetune launch` makes one")
    return Store.open(home.database_url)


def create(  # noqa: PLR0913 - what a job is made of
    store: Store,
    spec: "JobSpec",
    source: str,
    *,
    owner: str,
    dataset: dict[str, Any] | None = None,
    priority: int = 0,
    supervised: bool = False,
    request: str | None = None,
    shared: bool = False,
) -> str:
    """Write a new job and return its id, such as ``mnist-rows-7f3a``.

    Args:
        store: the database.
        spec: the job's document.
        source: the document as it was written.
        owner: who launches it.
        dataset: what identifies its data; None where its driver will find out.
        priority: which of the queue goes first.
        supervised: whether a supervisor runs it, or the caller.
        request: the key of the request for it, if any.
        shared: whether other databases name jobs, too, for the same MLflow server or folder: the
            id is longer then, so that none takes what is another's for its own.

    Raises:
        sqlalchemy.exc.IntegrityError: the request made a job already.
    """
    job_id = f"{spec.name}-{secrets.token_hex(4 if shared else 2)}"
    with store.session() as session:
        while session.get(Job, job_id) is not None:
            job_id = f"{spec.name}-{secrets.token_hex(4)}"
        session.add(
            Job(
                id=job_id,
                name=spec.name,
                document=spec.to_json(),
                source=source,
                commit=None if supervised else git_commit(Path.cwd()),
                status="queued",
                created_at=time.time(),
                dataset=None if dataset is None else json.dumps(dataset),
                owner=owner,
                priority=priority,
                supervised=supervised,
                request=request,
            )
        )
    return job_id


def git_commit(folder: Path) -> str | None:
    """Return the commit that ``folder`` has checked out, marked where it was changed since."""
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() or None


def find(store: Store, key: str) -> Job:
    """Return the job with the id ``key``, or the newest of that name.

    Raises:
        JobNotFoundError: names the jobs that there are.
    """
    with store.session() as session:
        job = session.get(Job, key) if is_storable(key) else None
        if job is None and is_storable(key):
            newest = select(Job).where(Job.name == key).order_by(Job.created_at.desc()).limit(1)
            job = session.scalar(newest)
        if job is None:
            ids = session.scalars(select(Job.id).order_by(Job.created_at.desc()).limit(5)).all()
            known = f"the newest are {', '.join(ids)}" if ids else "there are none yet"
            raise JobNotFoundError(f"no job is called {key!r}; {known}")
        return job


def elapsed(job: Job) -> float:
    """Return the seconds that drivers have spent on a job."""
    return round(job.elapsed_s, 1)


def away(job: Job) -> dict[str, Any] | None:
    """Return since when the delivery of a running job finds no MLflow, and why; None otherwise."""
    if live_status(job) != "running" or job.mlflow_away_since is None:
        return None
    return {"since": job.mlflow_away_since, "error": job.mlflow_error}


def out_of_queue(job: Job, why: str, **values: Any) -> Update:
    """Return the statement that takes a job out of the queue, to which conditions may be added."""
    return (
        update(Job)
        .where(Job.id == job.id)
        .values(
            supervised=False,
            message=f"{why}; `gatetune resume {job.id}` goes on",
            revision=Job.revision + 1,
            changed=Job.revision + 1,
            **values,
        )
    )


def request_stop(store: Store, key: str) -> Job:
    """Ask the driver of a job to stop; a job that still waits in the queue is stopped at once.

    So is one whose driver has not begun: it finds that the job is not its any more. One that had
    ended is stopped where somebody goes on with it, who may only be starting Ray.

    Raises:
        NotPossibleError: the job has ended.
    """
    job = find(store, key)
    waits = out_of_queue(job, "stopped while it waited", status="stopped", **FREE)
    with store.session() as session:
        stopped: Any = session.execute(waits.where(Job.status == "queued"))
        if stopped.rowcount:
            session.execute(parent_of(job.id, "stopped"))
        else:
            row = session.get_one(Job, job.id)
            status = live_status(row)
            if status not in LIVE and (not driver_is_alive(row) or is_done(store, job)):
                raise NotPossibleError(f"job {job.id} is {status}, so there is nothing to stop")
            session.execute(update(Job).where(Job.id == job.id).values(stop_requested=True))
    return find(store, job.id)


def is_done(store: Store, job: Job) -> bool:
    """Return whether nothing is left to do in a job."""
    return bool(job.status == "finished" and job.model and not undelivered(store, job.id))


def check_resumable(store: Store, job: Job) -> None:
    """Make sure that there is something left to do in a job.

    Raises:
        NotPossibleError: it is finished.
    """
    if is_done(store, job):
        raise NotPossibleError(f"job {job.id} is finished; there is nothing to resume")


def show(store: Store, job: Job) -> dict[str, Any]:
    """Return all that `show` prints of a job; costs the same however many trials it has."""
    document = json.loads(job.document)
    result = job.found
    unbeaten = result.unbeaten if result else None
    with store.session() as session:
        states = counts_by_state(session, [job.id])[job.id]
        maximize = document["objective"]["direction"] == "maximize"
        best_id = best_trial(session, job.id, maximize=maximize)
        best = None if best_id is None else trial_of(session, best_id)
        parent_run = run_id(session, job.id, PARENT)
        best_run = best and run_id(session, job.id, best.number)
        ends = best_values(session, [job.id]).get(job.id, {})
        left = left_s(session, [job]).get(job.id)
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "priority": job.priority,
        "status": live_status(job),
        "message": job.message,
        "created_at": job.created_at,
        "revision": job.revision,
        "objective": document["objective"],
        "trials": counts_of(states) | {"budget": document["budget"]["trials"]},
        "best": best
        and {
            "trial": best.number,
            "value": best.value,
            "params": parameters_of(best),
            "mlflow_run_id": best_run,
        },
        "best_by_cell": best_by_cell(ends, maximize=maximize),
        "confirmed": result.summary() if result and result.confirmed else None,
        "compared": result.compared() if result else [],
        "simple": [one.model_dump() for one in result.simple] if result else [],
        "unbeaten": unbeaten[0] if unbeaten else None,
        "unbeaten_on": unbeaten[1] if unbeaten else None,
        "model": job.registered,
        "elapsed_s": elapsed(job),
        "left_s": left,
        "mlflow_parent_run_id": parent_run,
        "undelivered": undelivered(store, job.id),
        "mlflow_away": away(job),
    }


def show_trials(store: Store, job: Job) -> list[dict[str, Any]]:
    """Return one row a trial, the confirmation's last."""
    return [row for row, _, _ in trials_with_runs(store, job)]


def trials_with_runs(store: Store, job: Job) -> list[tuple[dict[str, Any], Recorded, Run | None]]:
    """Return one row a trial, the confirmation's last, with the trial and its run."""
    direction = json.loads(job.document)["objective"]["direction"]
    rows: list[tuple[dict[str, Any], Recorded, Run | None]] = []
    for study in (job.id, confirmation(job.id)):
        with store.session() as session:
            runs = {r.trial: r for r in session.scalars(select(Run).where(Run.study == study))}
            epochs = Counter(
                session.scalars(select(JournalRow.trial).where(JournalRow.study == study))
            )
            trials = trials_of(session, study)
        for trial in trials:
            run = runs.get(trial.number)
            trained_with = json.loads(run.parameters) if run else {}
            row = {
                "study": study,
                "trial": trial.number,
                "state": trial.state,
                "value": trial.value if trial.state == "complete" else None,
                "best_epoch_value": best_epoch(trial.epochs, direction),
                "epochs": epochs[trial.number],
                "planned_epochs": trained_with.get("epochs"),
                "cell": trained_with.get("cell"),
                "name": run.name if run else None,
                "baseline": "baseline" in trial.user_attrs,
                "attempts": len(trial.user_attrs.get("lost_after", [])),
                "reason": trial.user_attrs.get("reason")
                if trial.state in ("failed", *OPEN)
                else None,
                "params": parameters_of(trial),
                "worker": run.worker if run else None,
                "mlflow_run_id": run.run_id if run else None,
            }
            rows.append((row, trial, run))
    return rows


def run_id(session: Session, study: str, trial: int) -> str | None:
    """Return the id of a trial's MLflow run, if MLflow has it yet."""
    run = session.get(Run, (study, trial))
    return run.run_id if run else None


def best_epoch(values: Iterable[float], direction: str) -> float | None:
    """Return the best of a trial's values so far, one an epoch."""
    known = [v for v in values if not math.isnan(v)]
    pick = max if direction == "maximize" else min
    return pick(known) if known else None


def await_stop(store: Store, job_id: str, patience_s: float = 120.0, alone_s: float = 10.0) -> Job:
    """Wait until a job's driver has given it back, and return the job.

    Args:
        store: the database.
        job_id: the job, which was asked to stop.
        patience_s: how long its driver may take.
        alone_s: how long it may have none before it is taken out of the queue: a supervisor that
            runs would have started one.

    Raises:
        NotPossibleError: it has not after so many seconds.
    """
    began = seen = time.monotonic()
    while time.monotonic() - began < patience_s:
        job = find(store, job_id)
        if driver_is_alive(job):
            seen = time.monotonic()
        elif live_status(job) not in LIVE:
            return job
        elif time.monotonic() - seen >= alone_s:
            disown(store, job)
        time.sleep(0.2)
    raise NotPossibleError(f"job {job_id} was asked to stop {patience_s:.0f} s ago, but runs still")


def disown(store: Store, job: Job) -> None:
    """Take a job that nobody runs out of the queue, unless somebody has taken it meanwhile.

    It is then as that of a command whose process died, which `doctor` closes, and still asked to
    stop: a driver that was only frozen may wake.
    """
    taken = out_of_queue(job, "stopped while nobody ran it")
    with store.session() as session:
        session.execute(taken.where(Job.lease_owner.is_not_distinct_from(job.lease_owner)))
