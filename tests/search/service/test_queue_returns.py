"""What becomes of a claim, and how a job gets back into the queue, on every database."""

import time

import pytest

from search.common.limits import Limits
from search.common.trial import SHOWN_OF_JOB
from search.database.lease import DURATION_S, Lease, LeaseHeldError, LeaseLostError
from search.database.store import Store, undelivered
from search.database.tables import PARENT, JournalRow, Run
from search.jobs.jobs import NotPossibleError, request_stop
from search.service.queue import CLAIM_S, FAILED_STARTS, claim, enqueue, give_back, is_held, release
from tests.search.conftest import dead_owner, finish_job, set_job
from tests.search.service.queued import CLAIMS, ELSEWHERE, add, add_live, claim_all, read


class TestOnEveryDatabase:
    # -- a driver takes its claim over -------------------------------------------------------------

    def test_a_driver_takes_over_its_claim_and_what_was_asked_since(self, opened: Store) -> None:
        add(opened, "one", status="running", lease_owner=dead_owner())
        claim(opened, CLAIMS[0], Limits())
        request_stop(opened, "one")
        lease = Lease(opened, "one", claim=CLAIMS[0])
        lease.acquire()
        job = read(opened, "one")
        assert (job.lease_owner, job.stop_requested) == (lease.owner, True)
        assert job.lease_until < time.time() + DURATION_S + 1
        assert claim_all(opened) == []

    def test_a_job_that_is_stopped_before_its_driver_begins_is_not_the_drivers(
        self, opened: Store
    ) -> None:
        for took in (False, True):
            add(opened, f"one-{took}")
            claim(opened, CLAIMS[0], Limits())
            lease = Lease(opened, f"one-{took}", claim=CLAIMS[0])
            if took:
                lease.acquire()
            assert request_stop(opened, f"one-{took}").status == "stopped"
            with pytest.raises(LeaseLostError if took else LeaseHeldError):
                lease.session().__enter__() if took else lease.acquire()
            assert claim_all(opened) == []

    def test_a_claim_is_taken_over_once(self, opened: Store) -> None:
        add(opened, "one")
        claim(opened, CLAIMS[0], Limits(), now=1000.0)
        first = Lease(opened, "one", claim=CLAIMS[0])
        first.acquire()
        with pytest.raises(LeaseHeldError, match="job one is run by another driver"):
            Lease(opened, "one", claim=CLAIMS[0]).acquire()
        assert read(opened, "one").lease_owner == first.owner

    def test_a_driver_that_comes_late_leaves_the_job_to_the_next_claim(self, opened: Store) -> None:
        add(opened, "one")
        claim(opened, CLAIMS[0], Limits(), now=1000.0)
        claim(opened, CLAIMS[1], Limits(), now=1000.1 + CLAIM_S)
        with pytest.raises(LeaseHeldError, match="job one is run by another driver"):
            Lease(opened, "one", claim=CLAIMS[0]).acquire()
        assert read(opened, "one").lease_owner == CLAIMS[1]

    def test_a_stop_outlives_the_claim_that_it_was_asked_of(self, opened: Store) -> None:
        add(opened, "one", status="running", lease_owner=dead_owner())
        claim(opened, ELSEWHERE, Limits(), now=1000.0)
        request_stop(opened, "one")
        assert claim_all(opened) == ["one"]
        assert read(opened, "one").stop_requested

    # -- drivers that end before their job ---------------------------------------------------------

    def test_a_driver_that_never_began_gives_its_claim_back(self, opened: Store) -> None:
        add(opened, "one")
        claim(opened, CLAIMS[0], Limits())
        release(opened, "one", CLAIMS[1])
        assert is_held(opened, "one")
        release(opened, "one", CLAIMS[0])
        assert not is_held(opened, "one")
        assert give_back(opened, "one", began=time.time() - 2, why="killed")
        job = read(opened, "one")
        assert (job.status, job.failed_starts, job.lease_owner) == ("queued", 1, None)
        assert claim_all(opened) == ["one"]

    def test_a_driver_that_died_at_work_is_followed_by_another(self, opened: Store) -> None:
        add(opened, "one", status="running", lease_owner=dead_owner(), lease_until=time.time() + 9)
        assert give_back(opened, "one", began=time.time() - 2, why="killed")
        job = read(opened, "one")
        assert (job.status, job.failed_starts) == ("running", 1)
        assert claim_all(opened) == ["one"]

    def test_a_job_whose_drivers_all_end_at_once_is_failed_and_says_why(
        self, opened: Store
    ) -> None:
        add(opened, "one")
        again = []
        for number in range(FAILED_STARTS):
            claim(opened, CLAIMS[number], Limits())
            release(opened, "one", CLAIMS[number])
            why = f"KeyError: {number}"
            again.append(give_back(opened, "one", began=time.time() - 59, why=why))
        assert again == [True] * (FAILED_STARTS - 1) + [False]
        job = read(opened, "one")
        assert (job.status, job.supervised, job.lease_owner) == ("failed", False, None)
        assert job.message == (
            "3 drivers in a row ended without an epoch, the last one with: KeyError: 2"
        )
        assert job.ended_at is not None
        assert job.changed == job.revision == 1
        assert claim_all(opened) == []

    def test_only_a_driver_that_reported_an_epoch_is_no_failed_one(self, opened: Store) -> None:
        add(opened, "one", failed_starts=FAILED_STARTS - 1)
        with opened.session() as session:
            session.add(
                JournalRow(
                    study="one/confirm", trial=0, epoch=1, job_id="one", metrics="{}", pruner="{}",
                    verdict="continue", time_ms=int((time.time() - 100) * 1000),
                )
            )  # fmt: skip
        for lived_s, counted in [(120.0, 0), (1.0, 1), (90.0, 2), (3600.0, 0)]:
            assert give_back(opened, "one", began=time.time() - lived_s, why="killed")
            assert read(opened, "one").failed_starts == counted

    def test_a_driver_that_put_its_job_back_is_no_failed_one(self, opened: Store) -> None:
        now = time.time()
        add(opened, "one", failed_starts=FAILED_STARTS - 1, ended_at=now)  # its Ray had died
        assert give_back(opened, "one", began=time.time() - 2, why="its Ray died")
        assert read(opened, "one").failed_starts == FAILED_STARTS - 1
        set_job(opened, "one", ended_at=now - 60)  # and the next one was killed before it began
        assert not give_back(opened, "one", began=time.time() - 2, why="killed")
        assert read(opened, "one").status == "failed"

    def test_its_run_shows_what_becomes_of_a_job_without_a_driver(self, opened: Store) -> None:
        add(opened, "one", failed_starts=FAILED_STARTS - 1)
        with opened.session() as session:
            session.add(
                Run(study="one", trial=PARENT, job_id="one", name="one", parameters="{}",
                    status="RUNNING", started_ms=1000)
            )  # fmt: skip

        def shown() -> tuple[str, str | None]:
            """What it shows, as if that were delivered then."""
            with opened.session() as session:
                run = session.get_one(Run, ("one", PARENT))
                run.delivered = run.told
                return run.status, run.tag

        assert not give_back(opened, "one", began=time.time() - 2, why="killed")
        assert undelivered(opened, "one")
        assert shown() == SHOWN_OF_JOB["failed"]
        for _ in range(2):
            enqueue(opened, "one")
            assert not undelivered(opened, "one")
            assert request_stop(opened, "one").status == "stopped"
            assert shown() == SHOWN_OF_JOB["stopped"]

    @pytest.mark.parametrize("status", ["stopped", "failed", "finished"])
    def test_a_driver_that_ended_its_job_gives_nothing_back(
        self, opened: Store, status: str
    ) -> None:
        add(opened, "one", status=status, supervised=False, message="why")
        assert not give_back(opened, "one", began=time.time() - 2, why="exit code 0")
        job = read(opened, "one")
        assert (job.status, job.message, job.failed_starts) == (status, "why", 0)

    def test_a_job_that_was_deleted_is_not_given_back(self, opened: Store) -> None:
        assert not give_back(opened, "gone", began=time.time() - 2, why="")

    def test_a_job_that_somebody_else_took_over_stays_theirs(self, opened: Store) -> None:
        add_live(opened, "one", failed_starts=FAILED_STARTS - 1)
        assert not give_back(opened, "one", began=time.time() - 2, why="")
        job = read(opened, "one")
        assert (job.status, job.failed_starts) == ("running", FAILED_STARTS - 1)
        assert job.lease_owner == ELSEWHERE

    # -- back into the queue -----------------------------------------------------------------------

    @pytest.mark.parametrize("status", ["stopped", "failed"])
    def test_a_job_that_ended_can_be_queued_again(self, opened: Store, status: str) -> None:
        add(opened, "one", status=status, supervised=False, message="why", failed_starts=3,
            ended_at=9.0, stop_requested=True, revision=7)  # fmt: skip
        enqueue(opened, "one")
        job = read(opened, "one")
        assert (job.status, job.supervised, job.message) == ("queued", True, None)
        assert (job.failed_starts, job.ended_at, job.stop_requested) == (0, None, False)
        assert (job.revision, job.changed) == (8, 8)
        assert claim_all(opened) == ["one"]

    def test_a_job_whose_own_command_was_killed_can_be_queued(self, opened: Store) -> None:
        add(opened, "one", status="running", supervised=False, lease_owner=dead_owner())
        enqueue(opened, "one")
        assert claim_all(opened) == ["one"]

    def test_a_job_that_waits_or_runs_cannot_be_queued_again(self, opened: Store) -> None:
        add(opened, "waits")
        add_live(opened, "runs")
        add_live(opened, "own", supervised=False)
        add(opened, "left", status="running", lease_owner=dead_owner())
        for job_id, status in [
            ("waits", "queued"), ("runs", "running"), ("own", "running"), ("left", "queued"),
        ]:  # fmt: skip
            before = read(opened, job_id).revision
            with pytest.raises(NotPossibleError, match=f"job {job_id} is {status} already"):
                enqueue(opened, job_id)
            assert read(opened, job_id).revision == before

    def test_a_job_that_somebody_deletes_or_repairs_cannot_be_queued(self, opened: Store) -> None:
        add(opened, "one", status="stopped", supervised=False)
        with Lease(opened, "one"), pytest.raises(NotPossibleError, match="one is being deleted"):
            enqueue(opened, "one")
        assert read(opened, "one").status == "stopped"
        enqueue(opened, "one")

    def test_a_finished_job_cannot_be_queued_again(self, opened: Store) -> None:
        add(opened, "one", supervised=False)
        finish_job(opened, "one")
        with pytest.raises(NotPossibleError, match="job one is finished; there is nothing to res"):
            enqueue(opened, "one")
        assert read(opened, "one").status == "finished"
