"""Deletes a job with everything that belongs to it: runs, models, studies, files, rows."""

import shutil
from typing import get_args

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy import delete
from sqlalchemy.exc import NoResultFound

from search.common.home import Home, JobLog
from search.common.texts import first_line
from search.database.lease import LIVE, Lease, LeaseHeldError, live_status
from search.database.storage import delete_studies
from search.database.store import Store
from search.database.tables import PARENT, Job, JournalRow, Run, confirmation
from search.driver.start import TrackingUnreachableError, check_tracking
from search.jobs.jobs import JobNotFoundError, NotPossibleError, find
from search.tracking.handover import TROUBLE
from search.tracking.tracking import DELETED_TAG, key_of
from search.upkeep.doctor.shown import NOTHING, View
from search.winner.champions import settle, versions_of
from search.winner.fetching import answering
from search.winner.registry import delete_models


def delete_job(home: Home, store: Store, key: str) -> str:
    """Delete a job that has ended, and return its id; what is deleted already may be missing.

    MLflow goes first and the job's row last, so that a deletion that was broken off is begun again.

    Raises:
        JobNotFoundError: there is no such job.
        NotPossibleError: it runs or waits, or MLflow or the store of the checkpoints does not
            answer; nothing was deleted.
    """
    job = find(store, key)
    check_ended(job.id, live_status(job))
    try:
        with answering(job), Lease(store, job.id) as lease:
            again = find(store, job.id).status
            # It may have been resumed meanwhile; "running" is that of a driver that died.
            check_ended(job.id, "stopped" if again == "running" else again)
            home.folder(job.id).names()
            try:
                check_tracking(home)
                delete_tracked(home, job)
            except (*TROUBLE, TrackingUnreachableError) as error:
                raise NotPossibleError(
                    f"job {job.id} was not deleted: its runs in MLflow cannot be deleted now "
                    f"({first_line(error)})"
                ) from error
            delete_files(home, job.id)
            delete_rows(lease)
    except LeaseHeldError as error:
        raise NotPossibleError(str(error)) from error
    except NoResultFound:  # by somebody else
        raise JobNotFoundError(f"job {job.id} is deleted already") from None
    return job.id


def check_ended(job_id: str, status: str) -> None:
    """Refuse to delete a job that runs or waits.

    Raises:
        NotPossibleError: it does.
    """
    if status in LIVE:
        raise NotPossibleError(f"job {job_id} is {status}; `gatetune stop {job_id}` comes first")


def delete_by_id(home: Home, store: Store, job_id: str) -> str:
    """Delete the job that a person named; see `delete_job`.

    Raises:
        NotPossibleError: ``job_id`` is a name, which may be another job's tomorrow.
    """
    job = find(store, job_id)
    if job.id != job_id:
        raise NotPossibleError(f"to delete it, name the job by its id: {job.id}")
    return delete_job(home, store, job_id)


def delete_tracked(home: Home, job: Job) -> None:
    """Delete the job's runs and its registered version, and the registered name with its last."""
    if home.is_untracked:
        return
    tracking = View(home, job.id, job.name)
    for version in versions_of(tracking.client, job.name, job.id):
        tracking.client.delete_model_version(job.name, str(version.version))
    for run in list(tracking.runs(ViewType.ALL)) if tracking.experiment_id != NOTHING else ():
        run_id = run.info.run_id
        if run.info.lifecycle_stage == "deleted":
            if DELETED_TAG in run.data.tags:
                continue
            # With its experiment, with which it would come back; a deleted run takes no tag.
            tracking.client.restore_run(run_id)
        if key_of(run)[1] == PARENT:
            delete_models(tracking, run_id)
        tracking.delete(run_id)
    try:
        if not tracking.client.search_model_versions(f"name='{job.name}'", max_results=1):
            tracking.client.delete_registered_model(job.name)
        else:
            settle(tracking.client, job.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def delete_files(home: Home, job_id: str) -> None:
    """Delete checkpoints, champion and logs."""
    home.folder(job_id).clear()
    shutil.rmtree(home.scratch / job_id, ignore_errors=True)
    for of in get_args(JobLog):
        home.log(job_id, of).unlink(missing_ok=True)


def delete_rows(lease: Lease) -> None:
    """Delete what the database has of the job, the confirmation's study too, in one transaction."""
    with lease.session() as session:
        delete_studies(session, lease.job_id, confirmation(lease.job_id))
        for table in (JournalRow, Run):
            session.execute(delete(table).where(table.job_id == lease.job_id))
        session.execute(delete(Job).where(Job.id == lease.job_id))
