"""What changes a job: stop, resume, delete, repair."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.database.lease import Lease
from search.winner.fetching import champion_folder, is_whole
from tests.search.conftest import DOCUMENT, add_job, dead_owner, finish_job
from tests.search.installations import installed
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, TOLD, begin, tell
from tests.search.service.api.world import refused
from tests.servers import free_port

LAUNCH = {"document": DOCUMENT}


@pytest.fixture
def tracked(home: Path) -> Iterator[Served]:
    """A service whose MLflow is real."""
    with serving(installed()) as service:
        yield service


class TestStopAndResume:
    def test_a_job_that_waits_is_stopped_at_once_and_waits_again(self, served: Served) -> None:
        job_id = served.ask("POST", "/jobs", json=LAUNCH).json()["id"]
        stopped = served.ask("POST", f"/jobs/{job_id}/stop")
        assert (stopped.status_code, stopped.json()["status"]) == (202, "stopped")
        assert stopped.json()["message"].startswith("stopped while it waited")
        resumed = served.ask("POST", f"/jobs/{job_id}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")
        assert resumed.json()["message"] is None

    def test_a_job_that_runs_is_asked_to_stop(self, served: Served) -> None:
        begin(served)
        answer = served.ask("POST", "/jobs/tiny/stop")
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert served.read(TOLD).stop_requested

    def test_a_job_that_has_ended_cannot_be_stopped(self, told: Served) -> None:
        answer = told.ask("POST", f"/jobs/{TOLD}/stop")
        refused(answer, 409, "not-possible", "is finished, so there is nothing to stop")

    @pytest.mark.parametrize("live", [True, False])
    def test_a_job_that_has_not_ended_cannot_be_resumed(self, served: Served, live: bool) -> None:
        if live:
            begin(served)
        else:
            served.ask("POST", "/jobs", json=LAUNCH)
        answer = served.ask("POST", "/jobs/tiny/resume")
        refused(answer, 409, "not-possible", "is running already" if live else "is queued already")

    def test_a_finished_job_has_nothing_to_resume(self, served: Served) -> None:
        finish_job(served.store, add_job(served.store, SPEC))
        answer = served.ask("POST", "/jobs/tiny/resume")
        refused(answer, 409, "not-possible", "is finished; there is nothing to resume")


class TestDelete:
    def test_nothing_of_a_job_is_left(self, tracked: Served) -> None:
        tell(tracked)
        other = tell(tracked, "tiny-0002")
        answer = tracked.ask("DELETE", f"/jobs/{TOLD}")
        assert (answer.status_code, answer.json()) == (200, {"deleted": TOLD})
        assert tracked.ask("GET", f"/jobs/{TOLD}").status_code == 404
        assert [job["id"] for job in tracked.get("/jobs")["jobs"]] == [other]
        assert champion_folder(tracked.home, TOLD).names() == []
        assert is_whole(champion_folder(tracked.home, other))
        assert len(tracked.get(f"/jobs/{other}/trials")) == 4

    def test_a_deleted_job_is_not_shown_from_memory(self, tracked: Served) -> None:
        tell(tracked)
        assert tracked.get(f"/jobs/{TOLD}")["id"] == TOLD
        tracked.ask("DELETE", f"/jobs/{TOLD}")
        assert TOLD not in tracked.service.shown

    def test_a_name_will_not_do(self, served: Served) -> None:
        add_job(served.store, SPEC, status="stopped")
        answer = served.ask("DELETE", "/jobs/tiny")
        refused(answer, 409, "not-possible", "to delete it, name the job by its id: tiny-0001")
        assert served.get("/jobs/tiny")["id"] == TOLD

    @pytest.mark.parametrize("live", [True, False])
    def test_a_job_that_has_not_ended_stays(self, served: Served, live: bool) -> None:
        if live:
            begin(served)
        else:
            add_job(served.store, SPEC, status="queued", supervised=True)
        answer = served.ask("DELETE", f"/jobs/{TOLD}")
        refused(answer, 409, "not-possible", f"`gatetune stop {TOLD}` comes first")
        assert served.get("/jobs/tiny")["id"] == TOLD

    def test_without_mlflow_nothing_is_deleted(self, tmp_path: Path) -> None:
        home = replace(fresh(tmp_path), tracking_uri=f"http://127.0.0.1:{free_port()}")
        with serving(home) as served:
            tell(served)
            answer = served.ask("DELETE", f"/jobs/{TOLD}")
            refused(answer, 409, "not-possible", f"job {TOLD} was not deleted: its runs in MLflow")
            assert len(served.get(f"/jobs/{TOLD}/trials")) == 4
            assert is_whole(champion_folder(home, TOLD))


class TestDoctor:
    def test_nothing_agrees_with_itself(self, tracked: Served) -> None:
        assert tracked.get("/doctor") == {"agree": True, "jobs": [], "findings": []}

    def test_one_job_and_all_are_examined(self, tracked: Served) -> None:
        tell(tracked)
        add_job(tracked.store, SPEC, "tiny-0002", status="stopped", created_at=1.0)
        one, every = tracked.get("/jobs/tiny/doctor"), tracked.get("/doctor")
        assert [job["id"] for job in one["jobs"]] == [TOLD]
        assert not one["agree"]
        assert {job["id"] for job in every["jobs"]} == {TOLD, "tiny-0002"}

    def test_a_look_changes_nothing_and_a_repair_does(self, tracked: Served) -> None:
        tell(tracked)
        add_job(tracked.store, SPEC, "gone-0001", lease_owner=dead_owner(), lease_until=2e9)
        for _ in range(2):
            (seen,) = tracked.get("/jobs/gone-0001/doctor")["jobs"]
            assert not any(one["repaired"] for one in seen["findings"])
            assert not seen["agree"]
        (mended,) = tracked.ask("POST", "/jobs/gone-0001/doctor").json()["jobs"]
        assert mended["agree"]
        assert all(one["repaired"] for one in mended["findings"])
        (left,) = tracked.get("/jobs/gone-0001/doctor")["jobs"]
        assert (left["agree"], left["findings"]) == (True, [])

    def test_mlflow_that_is_away_is_a_finding(self, tmp_path: Path) -> None:
        home = replace(fresh(tmp_path), tracking_uri=f"http://127.0.0.1:{free_port()}")
        with serving(home) as served:
            tell(served)
            (job,) = served.get("/jobs/tiny/doctor")["jobs"]
            assert "mlflow-unreachable" in {one["kind"] for one in job["findings"]}

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_one_is_at_work_at_a_time(self, tracked: Served, method: str) -> None:
        with tracked.service.examining:
            answer = tracked.ask(method, "/doctor")
        refused(answer, 409, "not-possible", "another doctor is at work; try again")
        assert tracked.ask(method, "/doctor").status_code == 200

    def test_a_job_that_runs_is_left_alone(self, tracked: Served) -> None:
        begin(tracked)
        for method in ("GET", "POST"):
            (job,) = tracked.ask(method, "/jobs/tiny/doctor").json()["jobs"]
            assert (job["running"], job["findings"]) == (True, [])


def test_a_lease_that_lapses_under_a_repair_is_no_fault_of_the_service(
    tracked: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another driver takes the job over while doctor mends it."""
    add_job(tracked.store, SPEC, lease_owner=dead_owner(), lease_until=2e9)
    acquire = Lease.acquire

    def taken_over(lease: Lease) -> None:
        acquire(lease)
        lease.owner = "another"

    monkeypatch.setattr(Lease, "acquire", taken_over)
    answer = tracked.ask("POST", "/jobs/tiny/doctor")
    refused(answer, 409, "not-possible", "job tiny-0001 was taken over by another driver")
