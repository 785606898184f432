"""Jobs over REST: launched once however often they are sent, shown, listed."""

import getpass
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.database.lease import Lease
from search.upkeep.deletion import delete_rows
from tests.search.conftest import DOCUMENT, add_job, dead_owner, finish_job, make_spec
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import SPEC, TOLD, begin
from tests.search.service.api.world import refused, settings

LAUNCH = {"document": DOCUMENT}


class TestLaunch:
    def test_a_job_waits_in_the_queue(self, served: Served) -> None:
        answer = served.ask("POST", "/jobs", json=LAUNCH)
        job = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
        assert (job["name"], job["status"], job["priority"]) == ("tiny", "queued", 0)
        assert job["owner"] == getpass.getuser()
        assert job["trials"]["total"] == 0
        assert served.get(f"/jobs/{job['id']}") == job
        assert served.read(job["id"]).supervised

    def test_where_mlflow_is_another_server_its_id_is_longer(self, tmp_path: Path) -> None:
        home = replace(fresh(tmp_path), tracking_uri="http://mlflow.example:5000")
        with serving(home) as served:
            job = served.ask("POST", "/jobs", json=LAUNCH).json()
        assert len(job["id"]) == len("tiny-7f3a91c2")

    def test_settings_replace_parts_of_the_document(self, served: Served) -> None:
        body = LAUNCH | {"set": ["budget.trials=3", "name=other"], "priority": -2}
        job = served.ask("POST", "/jobs", json=body).json()
        assert (job["name"], job["trials"]["budget"], job["priority"]) == ("other", 3, -2)
        assert served.read(job["id"]).source.endswith(
            "\n# --set budget.trials=3\n# --set name=other\n"
        )

    def test_a_document_may_be_a_mapping(self, served: Served) -> None:
        job = served.ask("POST", "/jobs", json={"document": yaml.safe_load(DOCUMENT)}).json()
        assert json.loads(served.read(job["id"]).document) == json.loads(make_spec().to_json())

    def test_every_fault_is_named(self, served: Served) -> None:
        body = LAUNCH | {"set": ["seed=-1", "sampler=tpee"]}
        for path in ("/jobs", "/check"):
            answer = served.ask("POST", path, json=body)
            refused(answer, 422, "invalid-document", "2 faults")
            assert answer.json()["error"]["faults"] == [
                "sampler.tpee: unknown sampler; did you mean tpe?",
                "seed: must be at least 0, but got -1",
            ]
        assert served.get("/jobs")["jobs"] == []

    def test_jobs_to_start_from_must_be_there(self, served: Served) -> None:
        body = LAUNCH | {"set": ["warm_start=[nobody]"]}
        answer = served.ask("POST", "/jobs", json=body)
        refused(answer, 422, "invalid-document", "warm_start: no job is called 'nobody'")
        assert served.get("/jobs")["jobs"] == []

    def test_a_check_writes_every_default_out_and_makes_no_job(self, served: Served) -> None:
        answer = served.ask("POST", "/check", json=LAUNCH | {"set": ["seed=7"]})
        assert answer.json() == json.loads(make_spec("seed=7").to_json())
        assert served.get("/jobs")["jobs"] == []


@pytest.mark.parametrize("given", [{"status": "finished"}, {"cursor": "x"}])
def test_only_the_queue_has_a_turn(served: Served, given: dict[str, str]) -> None:
    answer = served.ask("GET", "/jobs", params={"in_turn": "true"} | given)
    refused(answer, 422, "invalid-request", "in_turn is of queued jobs alone, without pages")
    assert served.get("/jobs", params={"in_turn": "true", "status": "queued"})["jobs"] == []


class TestIdempotency:
    def send(self, served: Served, key: str = "k", **given: Any) -> Any:
        given = {"json": LAUNCH} | given
        return served.ask("POST", "/jobs", headers={"Idempotency-Key": key}, **given)

    def test_the_same_request_again_makes_no_second_job(self, served: Served) -> None:
        first, again = self.send(served), self.send(served)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.headers["location"] == first.headers["location"]
        assert again.json() == first.json()
        assert len(served.get("/jobs")["jobs"]) == 1

    def test_another_key_makes_another_job(self, served: Served) -> None:
        ids = {self.send(served, key).json()["id"] for key in ("k", "l")}
        assert len(ids) == len(served.get("/jobs")["jobs"]) == 2

    def test_the_same_key_with_another_document_is_a_mistake(self, served: Served) -> None:
        job = self.send(served).json()
        answer = self.send(served, json=LAUNCH | {"set": ["seed=1"]})
        refused(answer, 409, "not-possible", f"made job {job['id']} of another document")
        assert len(served.get("/jobs")["jobs"]) == 1

    def test_a_job_that_was_made_is_answered_though_what_it_began_from_is_gone(
        self, served: Served
    ) -> None:
        add_job(served.store, make_spec(), "earlier-0001", status="finished")
        body = LAUNCH | {"set": ["warm_start=[earlier-0001]"]}
        first = self.send(served, json=body)
        with Lease(served.store, "earlier-0001") as lease:
            delete_rows(lease)
        again = self.send(served, json=body)
        assert (first.status_code, again.status_code) == (201, 200), again.text
        assert again.json()["id"] == first.json()["id"]

    def test_an_empty_key_is_none(self, served: Served) -> None:
        assert [self.send(served, "").status_code for _ in range(2)] == [201, 201]

    def test_many_at_once_make_one_job(self, served: Served) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.send(served), range(16)))
        assert sorted(one.status_code for one in answers) == [200] * 15 + [201]
        assert len({one.json()["id"] for one in answers}) == 1
        assert len(served.get("/jobs")["jobs"]) == 1

    def test_keys_of_owners_are_their_own(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path), settings()) as served:
            ada, bob = (served.token(name, "launch") for name in ("ada", "bob"))
            answers = [self.send(served, token=token) for token in (ada, bob, ada)]
            assert [one.status_code for one in answers] == [201, 201, 200]
            assert [one.json()["owner"] for one in answers] == ["ada", "bob", "ada"]

    def test_a_key_is_no_way_to_another_ones_job(self, tmp_path: Path) -> None:
        with serving(fresh(tmp_path), settings()) as served:
            self.send(served, token=served.token("ada", "launch"))
            viewer = self.send(served, token=served.token("ada", "view"))
            refused(viewer, 403, "role-needed", "this needs the role launch")


class TestShow:
    def test_a_finished_job_in_full(self, told: Served) -> None:
        job = told.get(f"/jobs/{TOLD}")
        counted = {
            name: job["trials"][name] for name in ("complete", "diverged", "failed", "total")
        }
        assert counted == {"complete": 2, "diverged": 1, "failed": 1, "total": 4}
        assert (job["id"], job["status"], job["owner"]) == (TOLD, "finished", "ada")
        assert (job["best"]["trial"], job["best"]["value"]) == (1, 0.9)
        assert job["confirmed"]["beats_baseline"]
        assert (job["model"]["name"], job["model"]["version"]) == ("tiny", "1")

    def test_a_name_is_its_newest_job(self, served: Served) -> None:
        add_job(served.store, SPEC, "tiny-0001", created_at=1.0)
        add_job(served.store, SPEC, "tiny-0002", created_at=2.0)
        assert served.get("/jobs/tiny")["id"] == "tiny-0002"
        assert served.get("/jobs/tiny-0001")["id"] == "tiny-0001"

    def test_what_changed_is_shown_at_once(self, served: Served) -> None:
        _, study = begin(served)
        assert served.get("/jobs/tiny")["status"] == "running"
        served.ask("POST", "/jobs", json=LAUNCH)
        study.shut()
        finish_job(served.store, TOLD)
        assert served.get(f"/jobs/{TOLD}")["status"] == "finished"

    @pytest.mark.parametrize(("supervised", "status"), [(True, "queued"), (False, "stopped")])
    def test_a_job_whose_driver_died(self, served: Served, supervised: bool, status: str) -> None:
        held: dict[str, Any] = {
            "lease_owner": dead_owner(),
            "lease_until": 2e9,
            "supervised": supervised,
        }
        add_job(served.store, SPEC, **held)
        assert served.get("/jobs/tiny")["status"] == status
        assert served.get("/jobs")["jobs"][0]["status"] == status

    def test_trials_as_the_command_line_prints_them(self, told: Served) -> None:
        rows = told.get(f"/jobs/{TOLD}/trials")
        assert [row["state"] for row in rows] == ["complete", "complete", "diverged", "failed"]
        assert [row["best_epoch_value"] for row in rows] == [0.7, 0.9, 0.3, None]
        assert (rows[3]["attempts"], rows[3]["reason"]) == (3, "KeyError: 'batch'")
        assert {row["study"] for row in rows} == {TOLD}

    def test_every_epoch_of_a_trial_in_order(self, told: Served) -> None:
        epochs = told.get(f"/jobs/{TOLD}/trials/0/metrics")
        assert [one["epoch"] for one in epochs] == [1, 2, 3, 4]
        assert [one["metrics"]["val_accuracy"] for one in epochs] == [0.5, 0.7, 0.6, 0.65]
        assert all(one["time_ms"] > 1.6e12 for one in epochs)

    def test_a_metric_that_is_no_number_is_null(self, told: Served) -> None:
        last = told.get(f"/jobs/{TOLD}/trials/2/metrics")[-1]
        assert last["metrics"] == {"val_accuracy": 0.1, "val_loss": None}

    def test_a_trial_without_epochs_has_none(self, told: Served) -> None:
        assert told.get(f"/jobs/{TOLD}/trials/3/metrics") == []

    @pytest.mark.parametrize(("trial", "confirm"), [(4, False), (0, True), (2**31 - 1, False)])
    def test_a_trial_that_there_is_none_of(self, told: Served, trial: int, confirm: bool) -> None:
        path = f"/jobs/{TOLD}/trials/{trial}/metrics"
        answer = told.ask("GET", path, params={"confirm": confirm})
        refused(answer, 404, "not-found", f"has no trial {trial}")

    @pytest.mark.parametrize(
        "path",
        ["", "/trials", "/trials/0/metrics", "/events", "/artifacts", "/artifacts/README.md",
         "/figures/history", "/doctor"],
    )  # fmt: skip
    def test_an_unknown_job_names_those_that_there_are(self, told: Served, path: str) -> None:
        answer = told.ask("GET", f"/jobs/tinny{path}")
        refused(answer, 404, "job-not-found", f"no job is called 'tinny'; the newest are {TOLD}")

    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/stop"), ("POST", "/resume"), ("POST", "/doctor"), ("DELETE", "")],
    )
    def test_an_unknown_job_cannot_be_changed(self, told: Served, method: str, path: str) -> None:
        refused(told.ask(method, f"/jobs/tinny{path}"), 404, "job-not-found", "'tinny'")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Seven jobs of two owners, four of which are of one instant."""
    with serving(fresh(tmp_path_factory.mktemp("many"))) as service:
        for number in range(7):
            add_job(
                service.store,
                make_spec(f"name={'even' if number % 2 == 0 else 'odd'}"),
                f"job-{number}",
                owner="ada" if number < 3 else "bob",
                status="stopped" if number in {0, 6} else "queued",
                created_at=float(max(number, 3)),
            )
        yield service


class TestList:
    def ids(self, many: Served, **filters: Any) -> list[str]:
        return [job["id"] for job in many.get("/jobs", params=filters)["jobs"]]

    def test_the_newest_come_first(self, many: Served) -> None:
        assert self.ids(many) == [f"job-{number}" for number in (6, 5, 4, 3, 2, 1, 0)]

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
    def test_pages_have_every_job_once(self, many: Served, limit: int) -> None:
        pages, cursor = [], None
        while True:
            page = many.get("/jobs", params={"limit": limit, "cursor": cursor})
            pages.append([job["id"] for job in page["jobs"]])
            cursor = page["next"]
            if cursor is None:
                break
        assert [job_id for page in pages for job_id in page] == self.ids(many)
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(pages) == -(-7 // limit)

    def test_filters(self, many: Served) -> None:
        assert self.ids(many, owner="ada") == ["job-2", "job-1", "job-0"]
        assert self.ids(many, status="stopped") == ["job-6", "job-0"]
        assert self.ids(many, name="odd") == ["job-5", "job-3", "job-1"]
        assert self.ids(many, name="odd", owner="bob", status="queued") == ["job-5", "job-3"]
        assert self.ids(many, name="nobody's") == []
        assert self.ids(many, name="\0") == []

    def test_a_page_of_a_filter_goes_on_with_the_filter(self, many: Served) -> None:
        page = many.get("/jobs", params={"owner": "bob", "limit": 3})
        rest = self.ids(many, owner="bob", cursor=page["next"])
        assert ([job["id"] for job in page["jobs"]], rest) == (
            ["job-6", "job-5", "job-4"],
            ["job-3"],
        )

    def test_a_finished_job_in_short(self, told: Served) -> None:
        (job,) = told.get("/jobs")["jobs"]
        shown = told.get(f"/jobs/{TOLD}")
        assert job["trials"] == shown["trials"]
        assert job["best_value"] == shown["best"]["value"]
        assert job["confirmed_mean"] == shown["confirmed"]["validation_mean"]
        assert job["model"] == shown["model"]
