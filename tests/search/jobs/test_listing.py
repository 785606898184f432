"""Pages of jobs, on every database that may hold them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert

from search.common.trial import Proposal
from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import Job
from search.jobs.jobs import find, show
from search.jobs.listing import MOST, STATUSES, CursorError, Wanted, number_of, page, pages
from search.study.study import JobStudy
from tests.search.conftest import (
    add_job,
    asked,
    dead_owner,
    finish_job,
    make_spec,
    open_study,
    train,
)

SPEC = make_spec()
ELSEWHERE = "elsewhere:1:2:ab"


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Collect the SQL that is sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def ids(store: Store, **wanted: Any) -> list[str]:
    return [job["id"] for job in pages(store, Wanted(**wanted))]


class TestOnEveryDatabase:
    @pytest.fixture
    def study_of(self, opened: Store) -> Iterator[Callable[..., JobStudy]]:
        """Makes a job and opens its study, as its driver does."""
        studies = []

        def make(job_id: str, *overrides: str) -> JobStudy:
            spec = make_spec(*overrides)
            lease = Lease(opened, add_job(opened, spec, job_id))
            lease.acquire()
            studies.append(open_study(opened, lease, spec))
            return studies[-1]

        yield make
        for study in studies:
            study.shut()

    # -- pages -------------------------------------------------------------------------------------

    def test_no_jobs_are_an_empty_page(self, opened: Store) -> None:
        assert page(opened, Wanted()) == ([], None)

    def test_the_newest_come_first(self, opened: Store) -> None:
        for job_id, created_at in [("b", 1.0), ("a", 3.0), ("c", 2.0)]:
            add_job(opened, SPEC, job_id, created_at=created_at)
        assert ids(opened) == ["a", "c", "b"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, 10])
    def test_pages_have_each_job_once_even_where_times_are_equal(
        self, opened: Store, limit: int
    ) -> None:
        moments = [7.25, 1 / 3 + 1e9, 7.25, 7.25, 1 / 3 + 1e9, 0.1, 7.25, 0.1, 1 / 3 + 1e9]
        for number in (4, 0, 8, 2, 6, 3, 7, 1, 5):
            add_job(opened, SPEC, f"job-{number}", created_at=moments[number])
        expected = sorted(range(9), key=lambda number: (moments[number], number), reverse=True)
        assert ids(opened, limit=limit) == [f"job-{number}" for number in expected]

    def test_every_page_has_only_the_jobs_that_are_wanted(self, opened: Store) -> None:
        for number in range(6):
            add_job(opened, SPEC, f"{'even' if number % 2 == 0 else 'odd'}-{number}")
        assert sorted(ids(opened, text="even", limit=1)) == ["even-0", "even-2", "even-4"]

    def test_a_full_last_page_is_the_last(self, opened: Store) -> None:
        for job_id in "abcd":
            add_job(opened, SPEC, job_id)
        _, cursor = page(opened, Wanted(limit=2))
        assert cursor is not None
        jobs, cursor = page(opened, Wanted(limit=2, cursor=cursor))
        assert [job["id"] for job in jobs] == ["b", "a"]
        assert cursor is None

    def test_a_job_that_is_launched_meanwhile_moves_no_page(self, opened: Store) -> None:
        for number in range(4):
            add_job(opened, SPEC, f"job-{number}", created_at=float(number))
        first, cursor = page(opened, Wanted(limit=2))
        add_job(opened, SPEC, "new", created_at=9.0)
        second, _ = page(opened, Wanted(limit=2, cursor=cursor))
        assert [job["id"] for job in first + second] == ["job-3", "job-2", "job-1", "job-0"]

    def test_filters_hold_on_every_page(self, opened: Store) -> None:
        for number in range(9):
            owner = ["ann", "bob", "cid"][number % 3]
            add_job(opened, SPEC, f"job-{number}", owner=owner, created_at=float(number))
        assert ids(opened, owner="ann", limit=1) == ["job-6", "job-3", "job-0"]

    def test_a_queue_is_listed_in_its_order_without_pages(self, opened: Store) -> None:
        for number, priority in enumerate([0, 2, 2]):
            add_job(opened, SPEC, f"job-{number}", status="queued", supervised=True,
                    created_at=float(number), priority=priority)  # fmt: skip
        left = {"lease_owner": dead_owner(), "supervised": True}
        add_job(opened, SPEC, "left", created_at=9.0, **left)
        jobs, cursor = page(opened, Wanted(limit=3, in_turn=True))
        assert [job["id"] for job in jobs] == ["left", "job-1", "job-2"]
        assert cursor is None
        with opened.session() as session:
            assert number_of(session, "queued", time.time(), ()) == 4

    @pytest.mark.parametrize("cursor", ["", "job-1", "x/job-1", "/", "1.0.0/a", "1.0/\0"])
    def test_a_cursor_that_no_page_ended_with_is_refused(self, opened: Store, cursor: str) -> None:
        with pytest.raises(CursorError, match="cursor: must be one that a page ended with, but "):
            page(opened, Wanted(cursor=cursor))

    # -- filters -----------------------------------------------------------------------------------

    def test_jobs_are_found_by_name_and_owner(self, opened: Store) -> None:
        for job_id, name, owner in [("a", "x", "ann"), ("b", "x", "bob"), ("c", "y", "ann")]:
            add_job(opened, SPEC, job_id, name=name, owner=owner)
        assert ids(opened, name="x") == ["b", "a"]
        assert ids(opened, owner="ann") == ["c", "a"]
        assert ids(opened, name="x", owner="ann") == ["a"]
        assert ids(opened, name="z") == ids(opened, name="\0") == ids(opened, owner="\ud800") == []

    def test_each_job_is_found_under_the_status_that_it_shows(self, opened: Store) -> None:
        soon = time.time() + 60
        jobs: dict[str, dict[str, object]] = {
            "queued": {"status": "queued", "supervised": True},
            "claimed": {"status": "queued", "supervised": True, "lease_owner": ELSEWHERE,
                        "lease_until": soon},
            "runs": {"lease_owner": ELSEWHERE, "lease_until": soon},
            "runs-supervised": {"lease_owner": ELSEWHERE, "lease_until": soon, "supervised": True},
            "silent": {"lease_owner": ELSEWHERE, "lease_until": 9.0},
            "silent-supervised": {"lease_owner": ELSEWHERE, "lease_until": 9.0, "supervised": True},
            "killed": {"lease_owner": dead_owner(), "lease_until": soon},
            "killed-supervised": {"lease_owner": dead_owner(), "lease_until": soon,
                                  "supervised": True},
            "left": {"lease_owner": None},
            "left-supervised": {"lease_owner": None, "supervised": True},
            "stopped": {"status": "stopped"},
            "failed": {"status": "failed"},
            "finished": {"status": "finished"},
        }  # fmt: skip
        for job_id, values in jobs.items():
            add_job(opened, SPEC, job_id, **values)
        found = {status: set(ids(opened, status=status)) for status in STATUSES}
        assert found == {
            "queued": {"queued", "claimed", "silent-supervised", "killed-supervised",
                       "left-supervised"},
            "running": {"runs", "runs-supervised"},
            "stopped": {"stopped", "silent", "killed", "left"},
            "failed": {"failed"},
            "finished": {"finished"},
        }  # fmt: skip
        for job in pages(opened, Wanted()):
            assert job["id"] in found[job["status"]]

    # -- what is said of a job ---------------------------------------------------------------------

    def test_a_new_job_has_nothing_yet(self, opened: Store) -> None:
        add_job(opened, SPEC, "one", status="queued", owner="ann", priority=2, created_at=9.5)
        assert page(opened, Wanted())[0] == [
            {
                "id": "one", "name": "tiny", "owner": "ann", "priority": 2, "status": "queued",
                "message": None, "created_at": 9.5, "elapsed_s": 0.0,
                "objective": {
                    "metric": "val_accuracy", "direction": "maximize", "beside": [], "limits": {},
                },
                "trials": {"complete": 0, "pruned": 0, "diverged": 0, "failed": 0, "running": 0,
                           "waiting": 0, "total": 0, "budget": 6},
                "best_value": None, "confirmed_mean": None, "model": None, "left_s": None,
                "best_by_cell": {}, "workers": None,
            }
        ]  # fmt: skip

    def test_a_finished_job_has_its_model_and_what_was_confirmed(self, opened: Store) -> None:
        add_job(opened, SPEC, "one")
        finish_job(opened, "one")
        (job,), _ = page(opened, Wanted())
        assert (job["status"], job["elapsed_s"]) == ("finished", 187.0)
        assert job["confirmed_mean"] == pytest.approx(0.91)
        assert job["model"]["alias"] == "champion"

    def test_trials_are_counted_as_show_counts_them(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        study = study_of(
            "tiny-0001",
            "pruner={name: successive-halving, min_resource: 1}",
            "budget.trials=12",
        )
        JobRow(study.storage.lease).begin()  # the job's own run is no trial
        for values in ([0.8, 0.8, 0.8, 0.8], [0.9, 0.9, 0.9, 0.9]):
            train(study, *values)
        pruned = asked(study)
        assert study.report(pruned.number, 1, {"val_accuracy": 0.1}, "running") == "pruned"
        diverged = asked(study)
        study.report(diverged.number, 1, {"train_loss": math.nan}, "diverged")
        failed = asked(study)
        failed.lost_after = [0, 0]
        assert not study.fail(failed.number, "Traceback:\nKeyError: 'batch'")
        waiting, again, running = asked(study), asked(study), asked(study)
        assert study.fail(again.number, "lost")
        study.requeue(waiting.number)
        shown = self.shown(opened)
        assert (shown["waiting"], shown["running"]) == (2, 1)
        self.assert_listed_as_shown(opened)
        study.report(running.number, 1, {"val_accuracy": 0.2, "val_loss": 0.8}, "running")
        study.close("hours")
        assert self.shown(opened) == {
            "complete": 2, "pruned": 4, "diverged": 1, "failed": 1, "running": 0, "waiting": 0,
            "total": 8, "budget": 12,
        }  # fmt: skip
        self.assert_listed_as_shown(opened)

    @staticmethod
    def shown(store: Store) -> Any:
        return show(store, find(store, "tiny-0001"))["trials"]

    def assert_listed_as_shown(self, store: Store) -> None:
        (listed,), _ = page(store, Wanted())
        assert listed["trials"] == self.shown(store)

    @pytest.mark.parametrize(
        ("metric", "direction", "best"),
        [("val_accuracy", "maximize", 0.9), ("val_loss", "minimize", 0.1)],
    )
    def test_the_best_value_is_that_of_show(
        self, opened: Store, study_of: Callable[..., JobStudy], metric: str, direction: str,
        best: float,
    ) -> None:  # fmt: skip
        study = study_of("tiny-0001", f"objective={{metric: {metric}, direction: {direction}}}")
        for value in (0.7, 0.9, 0.5):
            train(study, value)
        study.report(asked(study).number, 1, {metric: 0.99 if best > 0.5 else 0.01}, "running")
        (job,), _ = page(opened, Wanted())
        assert job["best_value"] == pytest.approx(best)
        assert show(opened, find(opened, "tiny-0001"))["best"]["value"] == job["best_value"]

    def test_each_kind_of_cell_has_its_best(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        baseline = "{cell: %s, hidden_size: 8, learning_rate: 0.0%s}"
        fixed = [baseline % (cell, place) for place, cell in enumerate(["gru", "lstm", "gru"], 1)]
        study = study_of("tiny-0001", f"baseline=[{', '.join(fixed)}]")
        for value in (0.7, 0.9, 0.8):
            train(study, value)
        (job,), _ = page(opened, Wanted())
        assert job["best_by_cell"] == {"gru": 0.8, "lstm": 0.9}
        shown = show(opened, find(opened, "tiny-0001"))
        assert shown["best_by_cell"] == job["best_by_cell"]

    def test_a_running_job_says_what_it_uses(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        study = study_of("tiny-0001", "workers={cpus: 2, gpus: 0.5}")
        JobRow(study.storage.lease).begin()
        train(study, 0.4)
        for _ in range(3):
            asked(study)
        (job,), _ = page(opened, Wanted())
        assert job["workers"] == {"trials": 3, "cpus": 6.0, "gpus": 1.5, "part": None}
        JobRow(study.storage.lease).set(slots=4)
        (job,), _ = page(opened, Wanted())
        assert job["workers"]["part"] == 0.75

    def test_every_job_has_its_own_trials_and_best(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        for number, value in enumerate([0.3, 0.6]):
            study = study_of(f"tiny-000{number}")
            for _ in range(number + 1):
                train(study, value)
        study_of("tiny-0009")
        listed = {
            job["id"]: (job["trials"]["total"], job["best_value"])
            for job in pages(opened, Wanted())
        }
        assert listed == {"tiny-0000": (1, 0.3), "tiny-0001": (2, 0.6), "tiny-0009": (0, None)}

    def test_trials_of_the_confirmation_do_not_count(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        study = study_of("tiny-0001")
        train(study, 0.4)
        again = Proposal({"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}, {}, seed=1)
        confirmation = JobStudy(
            opened, study.storage.lease, SPEC, name="tiny-0001/confirm", fixed=[again], trials=1,
            searching=False,
        )  # fmt: skip
        train(confirmation, 0.9)
        confirmation.shut()
        (job,), _ = page(opened, Wanted())
        assert (job["trials"]["total"], job["best_value"]) == (1, 0.4)

    # -- cost --------------------------------------------------------------------------------------

    def test_a_thousand_jobs_are_one_page_of_few_statements(
        self, opened: Store, study_of: Callable[..., JobStudy]
    ) -> None:
        document = SPEC.to_json()
        with opened.session() as session:
            session.execute(
                insert(Job),
                [
                    {"id": f"job-{number:04d}", "name": "many", "document": document, "source": "",
                     "status": "queued", "supervised": True, "created_at": number / 7}
                    for number in range(MOST)
                ],
            )  # fmt: skip
        train(study_of("tiny-0001"), 0.5)
        with statements(opened) as sent:
            jobs, cursor = page(opened, Wanted(status="queued", name="many", limit=MOST))
        assert len(jobs) == MOST
        assert cursor is None
        assert len(sent) <= 6
        with statements(opened) as sent:
            jobs, cursor = page(opened, Wanted(limit=MOST))
        assert jobs[0]["trials"]["complete"] == 1
        assert cursor is not None
        assert len(sent) <= 6
