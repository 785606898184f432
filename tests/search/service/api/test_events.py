"""The stream of a job's events: whole, taken up again anywhere, live, and at an end."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from sqlalchemy import select

from search.database.jobrow import JobRow
from search.database.lease import Lease
from search.database.store import Store, StoreError
from search.database.tables import PARENT, Job, JournalRow
from search.service.api import feed as module
from search.upkeep.deletion import delete_rows
from tests.search.conftest import add_job, asked, dead_owner, set_job, train
from tests.search.service.api.served import Served
from tests.search.service.api.stories import SPEC, TOLD, begin, end
from tests.search.service.api.world import assert_headers, refused

Event = tuple[str | None, str, dict[str, Any]]
"""Id, kind and content."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)


def read(answer: requests.Response) -> Iterator[Event]:
    """Yield events as they come."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.decode().partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}


def opened(served: Served, since: object = None, job: str = TOLD) -> requests.Response:
    headers = {} if since is None else {"Last-Event-ID": str(since)}
    answer = served.ask("GET", f"/jobs/{job}/events", headers=headers, stream=True)
    assert answer.status_code == 200
    return answer


def stream(served: Served, since: object = None) -> list[Event]:
    """Return all events of a job that has ended."""
    with opened(served, since) as answer:
        return list(read(answer))


def epochs(events: list[Event]) -> list[tuple[str, int, int]]:
    return [
        (content["study"], content["trial"], content["epoch"])
        for _, kind, content in events
        if kind == "epoch"
    ]


def journal(served: Served) -> list[tuple[str, int, int]]:
    with served.store.session() as session:
        rows = session.scalars(select(JournalRow).where(JournalRow.trial != PARENT)).all()
    return sorted((row.study, row.trial, row.epoch) for row in rows)


def states(events: list[Event]) -> dict[int, str]:
    """Return the last that was told of each trial."""
    return {one["trial"]: one["state"] for _, kind, one in events if kind == "trial"}


ENDS = {0: "complete", 1: "complete", 2: "diverged", 3: "failed"}


class TestFinishedJob:
    def test_all_that_happened_is_told_once_and_the_stream_ends(self, told: Served) -> None:
        events = stream(told)
        assert sorted(epochs(events)) == journal(told)
        assert len(epochs(events)) == 10
        assert states(events) == ENDS
        _, kind, last = events[-1]
        assert (kind, last["id"], last["status"]) == ("job", TOLD, "finished")
        assert Counter(kind for _, kind, _ in events) == {"epoch": 10, "trial": 4, "job": 1}

    def test_what_an_epoch_and_a_trial_are_told_as(self, told: Served) -> None:
        events = stream(told)
        first = next(one for _, kind, one in events if kind == "epoch")
        assert first.keys() == {"study", "trial", "epoch", "time_ms", "metrics"}
        assert (first["trial"], first["epoch"]) == (0, 1)
        assert first["metrics"] == {"val_accuracy": 0.5, "val_loss": 0.5}
        (failed,) = [one for _, kind, one in events if kind == "trial" and one["trial"] == 3]
        assert (failed["attempts"], failed["reason"]) == (3, "KeyError: 'batch'")
        assert failed["name"].startswith("003 ")
        assert failed["parameters"]["hidden_size"] in {8, 16}

    def test_a_metric_that_is_no_number_is_null(self, told: Served) -> None:
        (last,) = [one for _, kind, one in stream(told)
                   if kind == "epoch" and (one["trial"], one["epoch"]) == (2, 2)]  # fmt: skip
        assert last["metrics"] == {"val_accuracy": 0.1, "val_loss": None}

    def test_ids_rise(self, told: Served) -> None:
        ids = [int(number) for number, _, _ in stream(told) if number is not None]
        assert ids == sorted(set(ids))
        assert ids[-1] == told.read(TOLD).revision

    def test_taken_up_at_any_id_no_epoch_is_lost_or_doubled(self, told: Served) -> None:
        whole = stream(told)
        places = [place for place, (number, _, _) in enumerate(whole) if number is not None]
        for place in places[:-1]:
            rest = stream(told, whole[place][0])
            assert rest == whole[place + 1 :]

    def test_broken_off_at_any_event_no_epoch_is_lost(self, told: Served) -> None:
        """A client that is cut off between ids comes back with the last one that it has seen."""
        whole = stream(told)
        for cut in range(1, len(whole)):
            seen = [number for number, _, _ in whole[:cut] if number is not None]
            again = stream(told, seen[-1] if seen else None)
            assert set(epochs(whole[:cut])) | set(epochs(again)) == set(epochs(whole))
            assert states(whole[:cut]) | states(again) == ENDS

    def test_who_has_seen_all_is_told_to_come_no_more(self, told: Served) -> None:
        last = stream(told)[-1][0]
        for since in (last, int(last or 0) + 1, 2**31, "9" * 20):
            answer = told.ask("GET", f"/jobs/{TOLD}/events", headers={"Last-Event-ID": str(since)})
            assert (answer.status_code, answer.content) == (204, b"")
            assert_headers(answer)

    @pytest.mark.parametrize("since", ["", "x", "-1", "1.5", "0x1", "\xb2", "1 1"])
    def test_an_id_that_is_none_of_ours_begins_anew(self, told: Served, since: str) -> None:
        headers = {"Last-Event-ID": since.encode("latin-1")}
        with told.ask("GET", f"/jobs/{TOLD}/events", headers=headers, stream=True) as answer:
            assert len(epochs(list(read(answer)))) == 10

    def test_an_id_that_is_too_long_is_refused(self, told: Served) -> None:
        answer = told.ask("GET", f"/jobs/{TOLD}/events", headers={"Last-Event-ID": "1" * 21})
        refused(answer, 422, "invalid-request", "the request is not valid")

    def test_the_headers_of_a_stream(self, told: Served) -> None:
        with opened(told) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert_headers(answer)

    def test_a_name_will_do(self, told: Served) -> None:
        with opened(told, job="tiny") as answer:
            assert len(epochs(list(read(answer)))) == 10

    @pytest.mark.parametrize("batch", [1, 2, 3, 9, 10, 11])
    def test_batches_do_not_show(
        self, told: Served, monkeypatch: pytest.MonkeyPatch, batch: int
    ) -> None:
        whole = stream(told)
        monkeypatch.setattr(module, "BATCH", batch)
        assert stream(told) == whole


def test_a_batch_bounds_what_is_read_at_once(told: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    first = module.read(told.store, told.read(TOLD), -1)
    assert [kind for _, kind, _ in first].count("epoch") == 3


def test_epochs_of_one_commit_are_told_together(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    add_job(served.store, SPEC, status="stopped", revision=3)
    with served.store.session() as session:
        for trial, revision in enumerate([1, 2, 2, 2, 2, 3]):
            session.add(
                JournalRow(
                    study=TOLD, trial=trial, epoch=1, job_id=TOLD, time_ms=1, metrics="{}",
                    verdict="continue", pruner="{}", revision=revision,
                )
            )  # fmt: skip
    events = stream(served)
    assert [number for number, kind, _ in events if kind == "epoch"] == [
        "1",
        None,
        None,
        None,
        "2",
        "3",
    ]
    assert [trial for _, trial, _ in epochs(events)] == list(range(6))
    assert [trial for _, trial, _ in epochs(stream(served, 1))] == [1, 2, 3, 4, 5]


class Listener:
    """A client that reads what comes next."""

    def __init__(self, served: Served, since: object = None) -> None:
        self.answer = opened(served, since)
        self.events = read(self.answer)

    def until(self, kind: str, **content: Any) -> list[Event]:
        """Return the events up to the one that has this content."""
        seen: list[Event] = []
        for event in self.events:
            seen.append(event)
            if event[1] == kind and content.items() <= event[2].items():
                return seen
        raise AssertionError(f"the stream ended before {kind} {content}: {seen}")

    def rest(self) -> list[Event]:
        """Return the events up to the end of the stream."""
        with self.answer:
            return list(self.events)


class TestLiveJob:
    def test_what_a_driver_commits_is_told_until_the_job_ends(self, served: Served) -> None:
        lease, study = begin(served)
        listener = Listener(served)
        seen = listener.until("job", status="running")
        live = asked(study)
        seen += listener.until("trial", trial=0, state="running")
        for epoch, value in enumerate([0.4, math.nan, 0.5], start=1):
            metrics = {"val_accuracy": 0.5, "val_loss": value}
            study.report(live.number, epoch, metrics, "complete" if epoch == 3 else "running")
            seen += listener.until("epoch", trial=0, epoch=epoch)
        assert seen[-1][2]["metrics"] == {"val_accuracy": 0.5, "val_loss": 0.5}
        train(study, 0.1, 0.2)
        seen += listener.until("trial", trial=1, state="complete")
        study.shut()
        end(served, lease)
        seen += listener.rest()
        assert (seen[-1][1], seen[-1][2]["status"]) == ("job", "finished")
        assert (
            sorted(epochs(seen))
            == journal(served)
            == [(TOLD, 0, 1), (TOLD, 0, 2), (TOLD, 0, 3), (TOLD, 1, 1), (TOLD, 1, 2)]
        )
        ids = [int(number) for number, _, _ in seen if number is not None]
        assert ids == sorted(set(ids))

    def test_who_comes_back_hears_what_came_meanwhile_and_then(self, served: Served) -> None:
        lease, study = begin(served)
        first = Listener(served)
        train(study, 0.1, 0.2)
        seen = first.until("trial", trial=0, state="complete")
        first.answer.close()
        train(study, 0.3)
        last = [number for number, _, _ in seen if number is not None][-1]
        again = Listener(served, last)
        seen += again.until("trial", trial=1, state="complete")
        train(study, 0.5)
        study.shut()
        end(served, lease)
        seen += again.rest()
        assert sorted(epochs(seen)) == journal(served)

    def test_a_job_that_waits_is_told_of_its_stop(self, served: Served) -> None:
        add_job(served.store, SPEC, status="queued", supervised=True)
        listener = Listener(served)
        content = {"id": TOLD, "status": "queued", "message": None, "elapsed_s": 0.0}
        assert next(listener.events) == ("0", "job", content)
        served.ask("POST", f"/jobs/{TOLD}/stop")
        ((number, kind, stopped),) = listener.rest()
        assert (number, kind, stopped["status"]) == ("1", "job", "stopped")
        assert stopped["message"].startswith("stopped while it waited")

    def test_a_job_that_is_put_back_into_the_queue_goes_on_being_told(self, served: Served) -> None:
        add_job(served.store, SPEC, status="stopped")
        served.ask("POST", f"/jobs/{TOLD}/resume")
        listener = Listener(served)
        listener.until("job", status="queued")
        lease = Lease(served.store, TOLD)
        lease.acquire()
        JobRow(lease).begin()
        listener.until("job", status="running")
        JobRow(lease).end("stopped", "as it was asked")
        assert listener.rest()[-1][2]["message"] == "as it was asked"

    def test_a_deleted_job_ends_its_stream_and_is_not_found_again(self, served: Served) -> None:
        lease, study = begin(served)
        train(study, 0.5)
        listener = Listener(served)
        listener.until("trial", trial=0, state="complete")
        study.shut()
        delete_rows(lease)
        assert listener.rest() == []
        refused(served.ask("GET", f"/jobs/{TOLD}/events"), 404, "job-not-found", "no job is called")

    def test_a_job_whose_driver_died_ends_its_stream(self, served: Served) -> None:
        add_job(served.store, SPEC, lease_owner=dead_owner(), lease_until=2e9)
        ((_, kind, content),) = stream(served)
        assert (kind, content["status"]) == ("job", "stopped")

    def test_the_death_of_a_driver_is_told_though_nobody_wrote_it_down(
        self, served: Served
    ) -> None:
        _, study = begin(served)
        train(study, 0.5)
        listener = Listener(served)
        listener.until("trial", trial=0, state="complete")
        study.shut()
        with served.store.session() as session:
            session.get_one(Job, TOLD).lease_owner = dead_owner()
        ((number, kind, content),) = listener.rest()
        assert (kind, content["status"]) == ("job", "stopped")
        headers = {"Last-Event-ID": str(number)}
        answer = served.ask("GET", f"/jobs/{TOLD}/events", headers=headers)
        assert answer.status_code == 204

        # Who was away when it died hears it on coming back.
        before = str(number).partition("-")[0]
        ((again, kind, content),) = stream(served, before)
        assert (again, kind, content["status"]) == (number, "job", "stopped")

    def test_who_comes_after_the_death_of_a_driver_is_not_told_that_it_runs(
        self, served: Served
    ) -> None:
        """What others were told is not read anew, since nothing was written."""
        add_job(served.store, SPEC, supervised=True, revision=1, changed=1,
                lease_owner="elsewhere:1:2:ab", lease_until=2e9)  # fmt: skip
        first = Listener(served)
        first.until("job", status="running")
        set_job(served.store, TOLD, lease_owner=dead_owner())
        first.until("job", status="queued")
        Listener(served).until("job", status="queued")

    def test_a_stream_ends_where_the_database_goes_away(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin(served)
        listener = Listener(served)
        listener.until("job", status="running")

        def gone(*_: object) -> object:
            raise StoreError("the database is away")

        monkeypatch.setattr(module.Feed, "news", gone)
        assert listener.rest() == []
        refused(served.ask("GET", f"/jobs/{TOLD}/events"), 503, "database-away", "is away")

    def test_many_follow_one_job(self, served: Served) -> None:
        lease, study = begin(served)
        listeners = [Listener(served) for _ in range(8)]
        train(study, 0.1, 0.2, 0.3)
        study.shut()
        end(served, lease)
        heard = [listener.rest() for listener in listeners]
        assert all(sorted(epochs(one)) == journal(served) for one in heard)

    def test_what_many_are_told_is_read_once(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads, read_rows = [], module.read

        def counted(store: Store, job: Job, since: int) -> list[module.Event]:
            reads.append((job.revision, since))
            return read_rows(store, job, since)

        monkeypatch.setattr(module, "read", counted)
        lease, study = begin(served)
        listeners = [Listener(served) for _ in range(8)]
        for listener in listeners:
            listener.until("job", status="running")
        train(study, 0.1, 0.2, 0.3)
        study.shut()
        end(served, lease)
        for listener in listeners:
            listener.rest()
        assert len(reads) == len(set(reads))
        assert not served.service.feeds


def test_a_status_that_changes_within_one_revision_of_epochs_is_told(served: Served) -> None:
    """A job's change bears a revision of its own, beyond the last epoch's."""
    lease, study = begin(served)
    train(study, 0.5)
    study.shut()
    with opened(served) as answer:
        events = read(answer)
        last = [next(events)[0] for _ in range(3)][-1]
    JobRow(lease).end("failed", "why")
    ((_, kind, content),) = stream(served, last)
    assert (kind, content["status"], content["message"]) == ("job", "failed", "why")
