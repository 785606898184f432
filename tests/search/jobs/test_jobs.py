import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from search.common.limits import Limits
from search.database.lease import Lease, identity, live_status
from search.database.store import Store
from search.database.tables import PARENT, Job, Run
from search.document.spec import JobSpec
from search.jobs.jobs import (
    JobNotFoundError,
    NotPossibleError,
    await_stop,
    check_resumable,
    create,
    disown,
    find,
    git_commit,
    request_stop,
    show,
    show_trials,
)
from search.jobs.listing import Wanted, pages
from search.service.queue import claim
from search.study.study import JobStudy
from tests.search.conftest import add_job, dead_owner, finish_job, make_spec, open_study, train

BASELINE = "baseline=[{cell: gru, hidden_size: 8, learning_rate: 0.01, batch_size: 32}]"
SPEC = make_spec(BASELINE)


@pytest.fixture
def study(store: Store, owned: Callable[[Store, JobSpec], Lease]) -> Iterator[JobStudy]:
    made = open_study(store, owned(store, SPEC), SPEC)
    yield made
    made.shut()


def set_job(store: Store, **values: object) -> Job:
    with store.session() as session:
        session.execute(update(Job).values(**values))
    return find(store, "tiny-0001")


def launched(store: Store, source: str = "", **settings: Any) -> str:
    return create(store, SPEC, source, owner="ann", dataset={"fingerprint": "00"}, **settings)


class TestFind:
    def test_by_id_and_the_newest_by_name(self, store: Store) -> None:
        add_job(store, SPEC, "tiny-0001")
        add_job(store, SPEC, "tiny-0002")
        assert find(store, "tiny-0001").id == "tiny-0001"
        assert find(store, "tiny").id == "tiny-0002"

    def test_an_unknown_job_names_the_known_ones(self, store: Store) -> None:
        with pytest.raises(JobNotFoundError, match="no job is called 'tinny'; there are none yet"):
            find(store, "tinny")
        for job_id in ("tiny-0001", "tiny-0002"):
            add_job(store, SPEC, job_id)
        with pytest.raises(JobNotFoundError, match=r"the newest are tiny-0002, tiny-0001$"):
            find(store, "tinny")


class TestCreate:
    def test_a_new_job_is_queued_under_a_short_id(self, store: Store) -> None:
        made = [launched(store, "name: tiny\n") for _ in range(3)]
        assert len(set(made)) == 3
        job = find(store, made[0])
        assert made[0].startswith("tiny-")
        assert len(made[0]) == len("tiny-7f3a")
        assert len(launched(store, shared=True)) == len("tiny-7f3a91c2")
        assert (job.status, job.source, job.dataset) == (
            "queued",
            "name: tiny\n",
            '{"fingerprint": "00"}',
        )
        assert (job.owner, job.priority, job.supervised) == ("ann", 0, False)
        assert JobSpec.from_json(job.document) == SPEC

    def test_a_job_for_the_queue_leaves_its_data_to_its_driver(self, store: Store) -> None:
        job = find(store, create(store, SPEC, "", owner="bob", priority=3, supervised=True))
        assert (job.owner, job.priority, job.supervised) == ("bob", 3, True)
        assert job.dataset is None
        assert job.commit is None, "the folder is the service's, not the person's"

    def test_one_request_makes_one_job(self, store: Store) -> None:
        first = launched(store, request="ann/1")
        with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: jobs\.request"):
            launched(store, request="ann/1")
        assert {first} == {job["id"] for job in pages(store, Wanted())}

    def test_the_commit_says_whether_it_was_changed_since(self, tmp_path: Path) -> None:
        assert git_commit(tmp_path) is None
        (tmp_path / "file").write_text("1")
        author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "First"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        clean = git_commit(tmp_path)
        assert clean is not None
        assert len(clean) == 40
        (tmp_path / "file").write_text("2")
        assert git_commit(tmp_path) == f"{clean}-dirty"


class TestStatus:
    def test_a_job_runs_while_its_driver_lives(self, store: Store, study: JobStudy) -> None:
        assert live_status(find(store, "tiny")) == "running"
        assert live_status(set_job(store, lease_until=0.0)) == "stopped"
        assert live_status(set_job(store, status="failed")) == "failed"

    def test_a_job_whose_driver_died_is_stopped(self, store: Store, study: JobStudy) -> None:
        job = set_job(store, lease_owner=dead_owner())
        assert live_status(job) == "stopped"


class TestStop:
    def test_a_running_job_is_asked(self, store: Store, study: JobStudy) -> None:
        assert request_stop(store, "tiny").id == "tiny-0001"
        assert find(store, "tiny").stop_requested

    def test_a_job_that_waits_in_the_queue_is_stopped_at_once(self, store: Store) -> None:
        job = request_stop(store, launched(store, supervised=True))
        assert (job.status, job.supervised, job.stop_requested) == ("stopped", False, False)
        assert job.message == f"stopped while it waited; `gatetune resume {job.id}` goes on"
        assert (job.revision, job.changed) == (1, 1)

    def test_a_job_whose_driver_has_not_begun_is_stopped_at_once(self, store: Store) -> None:
        job_id = launched(store, supervised=True)
        assert claim(store, identity(), Limits()) is not None
        job = request_stop(store, job_id)
        assert (job.status, job.supervised, job.lease_owner) == ("stopped", False, None)

    def test_a_job_between_two_drivers_is_left_for_the_next_to_stop(self, store: Store) -> None:
        add_job(store, SPEC)
        set_job(store, supervised=True, lease_owner="elsewhere:1:2:ab", lease_until=0.0)
        job = request_stop(store, "tiny")
        assert (job.status, job.stop_requested) == ("running", True)

    def test_a_job_that_somebody_has_begun_to_resume_is_asked(self, store: Store) -> None:
        add_job(store, SPEC)
        set_job(store, status="stopped")
        with Lease(store, "tiny-0001"):
            assert request_stop(store, "tiny").stop_requested
            with pytest.raises(NotPossibleError, match="asked to stop 0 s ago, but runs still"):
                await_stop(store, "tiny-0001", patience_s=0.01)
        assert await_stop(store, "tiny-0001").status == "stopped"

    def test_a_job_that_is_done_is_refused_while_somebody_holds_it(self, store: Store) -> None:
        add_job(store, SPEC)
        set_job(store, status="finished", model="{}")
        with Lease(store, "tiny-0001"), pytest.raises(NotPossibleError, match="nothing to stop"):
            request_stop(store, "tiny")

    @pytest.mark.parametrize("status", ["stopped", "failed", "finished", "running"])
    def test_a_job_that_does_not_run_is_refused(self, store: Store, status: str) -> None:
        add_job(store, SPEC)
        set_job(store, status=status)
        seen = "stopped" if status == "running" else status
        with pytest.raises(NotPossibleError, match=f"tiny-0001 is {seen}, so there is nothing"):
            request_stop(store, "tiny")
        assert not find(store, "tiny").stop_requested

    def test_waiting_ends_when_the_driver_gives_the_job_back(
        self, store: Store, study: JobStudy
    ) -> None:
        driver = threading.Thread(target=set_job, args=(store,), kwargs={"status": "stopped"})
        driver.start()
        assert await_stop(store, "tiny-0001").status == "stopped"
        driver.join()

    def test_waiting_for_a_job_of_the_queue_that_nobody_runs_takes_it_out(
        self, store: Store
    ) -> None:
        add_job(store, SPEC)
        set_job(store, supervised=True, lease_owner=dead_owner(), lease_until=9e9)
        request_stop(store, "tiny")
        job = await_stop(store, "tiny-0001", alone_s=0.0)
        assert (job.supervised, job.stop_requested) == (False, True)
        assert live_status(job) == "stopped"
        assert job.message == "stopped while nobody ran it; `gatetune resume tiny-0001` goes on"

    def test_what_somebody_took_meanwhile_is_theirs(self, store: Store) -> None:
        add_job(store, SPEC)
        alone = set_job(store, supervised=True, lease_owner=dead_owner())
        set_job(store, lease_owner=identity(), lease_until=9e9)
        disown(store, alone)
        assert find(store, "tiny").supervised

    def test_waiting_has_an_end(self, store: Store, study: JobStudy) -> None:
        with pytest.raises(NotPossibleError, match="was asked to stop 0 s ago, but runs still"):
            await_stop(store, "tiny-0001", patience_s=0.0)


class TestResumable:
    def test_a_finished_job_is_not(self, store: Store) -> None:
        add_job(store, SPEC)
        finish_job(store, "tiny-0001")
        with pytest.raises(NotPossibleError, match="tiny-0001 is finished; there is nothing to re"):
            check_resumable(store, find(store, "tiny"))

    @pytest.mark.parametrize("status", ["queued", "running", "stopped", "failed"])
    def test_a_job_that_did_not_finish_is(self, store: Store, status: str) -> None:
        add_job(store, SPEC)
        finish_job(store, "tiny-0001")
        check_resumable(store, set_job(store, status=status))

    def test_a_finished_job_is_while_its_model_is_not_registered(self, store: Store) -> None:
        add_job(store, SPEC)
        finish_job(store, "tiny-0001")
        check_resumable(store, set_job(store, model=None))

    def test_a_finished_job_is_while_mlflow_lacks_something(
        self, store: Store, study: JobStudy
    ) -> None:
        train(study, 0.5)
        finish_job(store, "tiny-0001")
        check_resumable(store, find(store, "tiny"))


class TestShow:
    def test_the_keys_are_those_that_programs_rely_on(self, store: Store, study: JobStudy) -> None:
        train(study, 0.5, 0.7)
        finish_job(store, "tiny-0001")
        shown = show(store, find(store, "tiny"))
        assert set(shown) >= {
            "id", "name", "status", "trials", "best", "confirmed", "model", "elapsed_s",
            "mlflow_parent_run_id",
        }  # fmt: skip
        assert set(shown["trials"]) >= {
            "complete", "pruned", "diverged", "failed", "running", "waiting", "total",
        }  # fmt: skip
        assert set(shown["best"]) == {"trial", "value", "params", "mlflow_run_id"}
        assert set(shown["confirmed"]) >= {
            "params", "metric", "seeds", "validation_mean", "validation_sd", "test_mean",
            "test_sd", "baseline_validation_mean", "baseline_test_mean", "beats_baseline",
        }  # fmt: skip
        assert set(shown["model"]) >= {"name", "version", "alias"}

    def test_a_new_job_has_nothing_yet(self, store: Store) -> None:
        shown = show(store, find(store, launched(store)))
        assert (shown["status"], shown["trials"]["total"], shown["elapsed_s"]) == ("queued", 0, 0.0)
        assert [shown[key] for key in ("best", "confirmed", "model")] == [None] * 3

    def test_trials_are_counted_as_they_ended(self, store: Store, study: JobStudy) -> None:
        train(study, 0.5, 0.7)
        for ending in ("diverged", "fail", "requeue", None):
            live = train(study)
            if ending == "diverged":
                study.report(live.number, 1, {"train_loss": float("nan")}, "diverged")
            elif ending == "fail":
                live.lost_after = [0, 0]
                study.fail(live.number, "poison")
            elif ending == "requeue":
                waiting = live
        study.requeue(waiting.number)
        trials = show(store, find(store, "tiny"))["trials"]
        assert trials == {
            "complete": 1, "pruned": 0, "diverged": 1, "failed": 1, "running": 1, "waiting": 1,
            "total": 5, "budget": 6,
        }  # fmt: skip

    def test_trials_that_the_budget_ended_count_as_pruned(
        self, store: Store, study: JobStudy
    ) -> None:
        study.requeue(train(study).number)
        study.close("hours")
        assert show(store, find(store, "tiny"))["trials"]["pruned"] == 1
        assert [row["state"] for row in show_trials(store, find(store, "tiny"))] == ["budget"]

    def test_the_best_trial_names_its_run(self, store: Store, study: JobStudy) -> None:
        for value in (0.5, 0.8, 0.8):
            train(study, value)
        with store.session() as session:
            session.execute(update(Run).where(Run.trial == 1).values(run_id="abc"))
            parent = Run(study="tiny-0001", trial=PARENT, job_id="tiny-0001", name="tiny-0001",
                         parameters="{}", status="RUNNING", started_ms=0, run_id="def")  # fmt: skip
            session.add(parent)
        shown = show(store, find(store, "tiny"))
        best = shown["best"]
        assert (best["trial"], best["value"], best["mlflow_run_id"]) == (1, 0.8, "abc")
        assert shown["mlflow_parent_run_id"] == "def"
        assert set(best["params"]) == {"cell", "hidden_size", "learning_rate"}


def test_trials_have_a_row_each(store: Store, study: JobStudy) -> None:
    train(study, 0.7, 0.6)
    study.fail(train(study).number, "lost")
    baseline, other = show_trials(store, find(store, "tiny"))
    assert (baseline["state"], baseline["epochs"], baseline["baseline"]) == ("complete", 2, True)
    assert (baseline["value"], baseline["best_epoch_value"]) == (0.7, 0.7)
    assert baseline["params"]["batch_size"] == 32
    assert (baseline["cell"], baseline["planned_epochs"]) == ("gru", 4)
    assert baseline["name"] == "000 GRU 8x1 lr 0.01 (baseline)"
    assert (other["state"], other["attempts"], other["value"]) == ("waiting", 1, None)
    assert other["best_epoch_value"] is None
