"""Documents that strangers send, and jobs that are made of them once."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from search.common.faults import SpecError
from search.database.store import Store
from search.database.tables import Job
from search.jobs import jobs
from search.jobs.jobs import NotPossibleError
from search.jobs.submission import MOST_CHARACTERS, check_size, read, submit
from tests.search.conftest import DOCUMENT, make_spec

SPEC = make_spec()


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"space": document}
    return document


def number_of_jobs(store: Store) -> int:
    with store.session() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_text_and_mapping_are_the_same_job() -> None:
    spec, source = read(yaml.safe_load(DOCUMENT), ["seed=7"])
    assert spec == read(DOCUMENT, ["seed=7"])[0] == make_spec("seed=7")
    assert read(source, ["seed=7"])[0] == spec
    assert source.endswith("\n# --set seed=7\n")


LONG = f"must be at most {MOST_CHARACTERS} characters long"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("document", "overrides", "fault"),
    [
        (DOCUMENT + "#" * MOST_CHARACTERS, [], LONG),
        ({"name": "a" * MOST_CHARACTERS}, [], LONG),
        (DOCUMENT, ["seed=" + "1" * (MOST_CHARACTERS // 2)] * 2, LONG),
        (nested(900), [], "the document: is nested too deep"),
        ("space: [", [], "must be YAML"),
        ({"name": "a\0b"}, [], "name: must be 1 to 64 of"),
        (DOCUMENT, ["data.source=secret"], "data.source: must be one of mnist"),
        (DOCUMENT, ["data.source=http://127.0.0.1/x"], "a path, and no URL"),
        (DOCUMENT, ["data.source=file:///etc/passwd"], "a path, and no URL"),
    ],
    ids=lambda value: str(value)[:24].encode("unicode_escape").decode(),
)
def test_what_is_refused(document: Any, overrides: list[str], fault: str) -> None:
    with pytest.raises(SpecError) as raised:
        read(document, overrides)
    assert fault in str(raised.value)


def test_a_document_as_long_as_may_be_is_taken() -> None:
    assert read(DOCUMENT + "#" * (MOST_CHARACTERS - len(DOCUMENT)), [])[0] == SPEC


def test_a_job_of_more_trials_than_a_service_takes() -> None:
    check_size(make_spec("budget.trials=2", "confirm={top: 3, seeds: 2}"), 8)
    with pytest.raises(
        SpecError, match=r"confirm: must be at most 8 trials and .*, but got 3 and 6"
    ):
        check_size(make_spec("budget.trials=3", "confirm={top: 3, seeds: 2}"), 8)


def test_a_job_waits_for_a_supervisor_in_the_name_of_its_owner(store: Store) -> None:
    job, is_new = submit(store, SPEC, DOCUMENT, owner="ada", priority=3)
    assert is_new
    assert (job.status, job.supervised, job.owner, job.priority) == ("queued", True, "ada", 3)
    assert (job.source, json.loads(job.document)) == (DOCUMENT, json.loads(SPEC.to_json()))
    assert job.dataset is None


def test_without_a_key_every_request_makes_a_job(store: Store) -> None:
    first, second = (submit(store, SPEC, DOCUMENT, owner="ada")[0] for _ in range(2))
    assert first.id != second.id


def test_a_key_makes_one_job_an_owner(store: Store) -> None:
    made, _ = submit(store, SPEC, DOCUMENT, owner="ada", key="k")
    again, is_new = submit(store, SPEC, DOCUMENT, owner="ada", key="k")
    assert (again.id, is_new) == (made.id, False)
    other, is_new = submit(store, SPEC, DOCUMENT, owner="bob", key="k")
    assert is_new
    assert other.id != made.id
    assert number_of_jobs(store) == 2


def test_a_key_is_of_one_document(store: Store) -> None:
    made, _ = submit(store, SPEC, DOCUMENT, owner="ada", key="k")
    with pytest.raises(NotPossibleError, match=f"made job {made.id} of another document"):
        submit(store, SPEC, f"{DOCUMENT}# changed\n", owner="ada", key="k")
    assert number_of_jobs(store) == 1


def test_owner_and_key_are_told_apart(store: Store) -> None:
    submit(store, SPEC, DOCUMENT, owner="ada", key="bk")
    assert submit(store, SPEC, DOCUMENT, owner="adab", key="k")[1]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_one_request_sent_by_many_at_once_makes_one_job(
    request: pytest.FixtureRequest, database: str
) -> None:
    store = Store.open(request.getfixturevalue(f"{database}_url"))

    def send(_: int) -> tuple[str, bool]:
        job, is_new = submit(store, SPEC, DOCUMENT, owner="ada", key="k")
        return job.id, is_new

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(send, range(8)))
    assert len({job_id for job_id, _ in made}) == 1
    assert sorted(is_new for _, is_new in made) == [False] * 7 + [True]
    assert number_of_jobs(store) == 1
    store.close()


def test_two_jobs_that_draw_one_id_at_the_same_moment_are_two(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, calls = jobs.create, itertools.count()

    def taken_once(*given: Any, **named: Any) -> str:
        if next(calls) == 0:
            raise IntegrityError("INSERT INTO jobs", {}, Exception("UNIQUE constraint: jobs.id"))
        return create(*given, **named)

    other, _ = submit(store, SPEC, DOCUMENT, owner="ada")
    monkeypatch.setattr(jobs, "create", taken_once)
    job, is_new = submit(store, SPEC, DOCUMENT, owner="bob")
    assert (job.owner, is_new) == ("bob", True)
    assert (job.id != other.id, number_of_jobs(store)) == (True, 2)
