"""What a driver writes about its job as a whole."""

import time

import pytest

from search.database.jobrow import JobRow
from search.database.lease import Lease, LeaseLostError
from search.database.store import Store
from search.database.tables import Job
from tests.search.conftest import add_job, make_spec


def job_of(store: Store) -> Job:
    with store.session() as session:
        return session.get_one(Job, "tiny-0001")


@pytest.fixture
def row(store: Store) -> JobRow:
    lease = Lease(store, add_job(store, make_spec()))
    lease.acquire()
    return JobRow(lease)


def test_the_end_gives_the_job_back_in_the_same_commit(store: Store, row: JobRow) -> None:
    row.begin()
    row.end("finished", None)
    job = job_of(store)
    assert (job.status, job.lease_owner, job.lease_until) == ("finished", None, 0.0)


def test_an_end_that_was_written_already_is_an_end(store: Store, row: JobRow) -> None:
    row.end("finished", None)
    row.end("finished", None)
    with pytest.raises(LeaseLostError):
        row.end("failed", "another's")
    assert job_of(store).status == "finished"


@pytest.mark.parametrize(("status", "stays"), [("queued", True), ("stopped", False)])
def test_only_a_job_of_the_queue_stays_in_it(
    store: Store, row: JobRow, status: str, stays: bool
) -> None:
    with store.session() as session:
        session.get_one(Job, "tiny-0001").supervised = True
    row.end(status, None)
    assert job_of(store).supervised is stays


def test_hours_do_not_follow_a_clock_that_is_set(
    row: JobRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 86_400
    monkeypatch.setattr("search.database.jobrow.time.time", lambda: later)
    assert row.elapsed_s() < 3600


def test_what_people_see_bears_the_revision_of_its_change(store: Store, row: JobRow) -> None:
    row.begin()
    began = job_of(store).changed
    with row.lease.session():
        pass
    row.set(message="half-way")
    job = job_of(store)
    assert 0 < began < job.changed == job.revision
