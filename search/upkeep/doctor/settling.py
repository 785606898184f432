"""What `gatetune up` does for jobs whose driver is gone, without being asked."""

from functools import partial

from sqlalchemy import select

from search.common.home import Home
from search.database.lease import LIVE, driver_is_alive
from search.database.store import Store, undelivered
from search.database.tables import Job
from search.upkeep.doctor.examination import JobReport, examining
from search.upkeep.doctor.treatment import reports, treat


def settle(home: Home) -> list[JobReport]:
    """Close what died drivers left open, deliver what waits, and return what was done.

    Raises:
        StoreError: the database cannot be used.
        LeaseLostError: a driver took a job over meanwhile.
    """
    if not Store.exists(home.database_url):
        return []
    store = Store.open(home.database_url)
    try:
        waiting = unsettled(store)
        if not waiting:
            return []
        with examining(home, store) as examiner:
            return reports(partial(treat, examiner), waiting)
    finally:
        store.close()


def unsettled(store: Store) -> list[str]:
    """Return the jobs without a driver of which MLflow does not know how they stand."""
    with store.session() as session:
        jobs = session.scalars(select(Job).order_by(Job.created_at)).all()
    idle = [
        job
        for job in jobs
        if not driver_is_alive(job) and not (job.supervised and job.status in LIVE)
    ]
    return [
        job.id
        for job in idle
        if job.status == "running"
        or (job.status == "finished" and job.model is None)
        or undelivered(store, job.id)
    ]
