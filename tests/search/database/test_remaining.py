"""How long a job will still train, as those see it who only look."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from search.common.trial import Proposal
from search.database import remaining
from search.database.lease import Lease
from search.database.store import Store
from search.database.tables import JournalRow
from search.jobs.jobs import find, show
from search.jobs.listing import Wanted, page
from search.study.study import JobStudy
from tests.search.conftest import add_job, asked, finish_job, make_spec, open_study, set_job, train

BASELINE = "baseline=[{cell: gru, hidden_size: 8, learning_rate: 0.01}]"
PRUNER = "pruner={name: successive-halving, min_resource: 1}"
EPOCHS = [0.5] * 4
"""A trial to its end; six of them are the budget."""

StudyOf = Callable[..., JobStudy]


@pytest.fixture
def study_of(opened: Store) -> Iterator[StudyOf]:
    """Makes the job and opens its study, as its driver does."""
    studies: list[JobStudy] = []

    def make(*overrides: str) -> JobStudy:
        spec = make_spec(*overrides)
        lease = Lease(opened, add_job(opened, spec))
        lease.acquire()
        studies.append(open_study(opened, lease, spec))
        return studies[-1]

    yield make
    for study in studies:
        study.shut()


def left(store: Store, elapsed_s: float) -> float | None:
    """Return what is said of a job that has run so long, which the list says too."""
    set_job(store, elapsed_s=elapsed_s)
    shown: float | None = show(store, find(store, "tiny-0001"))["left_s"]
    (listed,), _ = page(store, Wanted())
    assert listed["left_s"] == shown
    return shown


def test_before_the_first_epoch_nobody_knows(opened: Store, study_of: StudyOf) -> None:
    train(study_of())
    assert left(opened, 9.0) is None


def test_what_is_left_goes_on_at_the_pace_so_far(opened: Store, study_of: StudyOf) -> None:
    study = study_of("confirm.top=0")
    train(study, *EPOCHS)
    train(study, *EPOCHS)
    assert left(opened, 16.0) == 4 * 4 * 2.0
    study.report(asked(study).number, 1, {"val_accuracy": 0.5}, "running")
    assert left(opened, 18.0) == (3 + 3 * 4) * 2.0


@pytest.mark.parametrize(
    ("supervised", "top", "expected"),
    [
        (True, 0, 5 * 2.0),
        (True, 1, 5 * 2.0 + 10.0 + 5 * 2.0),
        (False, 1, 5 * 2.0 + 5 * 2.0),
    ],
)
def test_workers_start_again_for_the_confirmation_of_a_job_that_shares_its_ray(
    opened: Store, study_of: StudyOf, supervised: bool, top: int, expected: float
) -> None:
    train(study_of(f"confirm={{top: {top}, seeds: 5}}"), *EPOCHS)
    with opened.session() as session:
        session.execute(update(JournalRow).values(time_ms=1_000_000))
    set_job(opened, started_at=990.0, supervised=supervised)
    assert left(opened, 12.0) == expected


def test_trials_that_end_early_make_it_less(opened: Store, study_of: StudyOf) -> None:
    study = study_of("confirm.top=0", PRUNER)
    train(study, 0.8, 0.8, 0.8, 0.8)
    train(study, 0.9, 0.9, 0.9, 0.9)
    assert study.report(asked(study).number, 1, {"val_accuracy": 0.1}, "running") == "pruned"
    assert left(opened, 9.0) == 3 * 3 * 1.0


def test_a_trial_beyond_the_typical_may_go_to_its_end(opened: Store, study_of: StudyOf) -> None:
    study = study_of("confirm.top=0", "budget.trials=3", PRUNER)
    train(study, *EPOCHS)
    assert study.report(asked(study).number, 1, {"val_accuracy": 0.1}, "running") == "pruned"
    last = asked(study)
    for epoch in (1, 2, 3):
        study.report(last.number, epoch, {"val_accuracy": 0.6}, "running")
    assert left(opened, 8.0) == 1.0


def test_the_confirmation_is_still_to_come(opened: Store, study_of: StudyOf) -> None:
    study = study_of(BASELINE, "confirm={top: 2, seeds: 3}")
    train(study, *EPOCHS)
    assert left(opened, 4.0) == 5 * 4 + 3 * 3 * 4


def test_a_search_that_was_closed_has_only_its_confirmation(
    opened: Store, study_of: StudyOf
) -> None:
    train(study_of("confirm={top: 3, seeds: 5}"), *EPOCHS)
    set_job(opened, closed="target")
    assert left(opened, 4.0) == 5 * 4


def test_replicates_that_ended_are_not_left(opened: Store, study_of: StudyOf) -> None:
    study = study_of("budget.trials=1", "confirm={top: 1, seeds: 2}")
    train(study, *EPOCHS)
    again = [
        Proposal({"cell": "gru", "hidden_size": 8, "learning_rate": 0.01}, {}, seed=seed)
        for seed in (1, 2)
    ]
    confirming = JobStudy(
        opened, study.storage.lease, study.spec, name="tiny-0001/confirm", fixed=again, trials=2,
        searching=False,
    )  # fmt: skip
    train(confirming, *EPOCHS)
    confirming.report(asked(confirming).number, 1, {"val_accuracy": 0.5}, "running")
    confirming.shut()
    assert left(opened, 18.0) == 3 * 2.0


def test_hours_are_a_limit_of_the_search(opened: Store, study_of: StudyOf) -> None:
    train(study_of("confirm.top=0", "budget.hours=1.0"), *EPOCHS)
    assert left(opened, 3000.0) == 600.0


def test_only_the_newest_trials_say_what_one_is(
    opened: Store, study_of: StudyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remaining, "RECENT", 2)
    study = study_of("confirm.top=0")
    train(study, 0.5)
    train(study, *EPOCHS)
    train(study, *EPOCHS)
    assert left(opened, 12.0) == 3 * 4 * 1.0


@pytest.mark.parametrize("status", ["queued", "stopped", "failed"])
def test_a_job_that_does_not_run_has_no_end_in_sight(
    opened: Store, study_of: StudyOf, status: str
) -> None:
    train(study_of(), *EPOCHS)
    set_job(opened, status=status)
    assert left(opened, 4.0) is None


def test_a_champion_that_is_only_delivered_needs_no_time(opened: Store, study_of: StudyOf) -> None:
    study = study_of()
    train(study, *EPOCHS)
    finish_job(opened, "tiny-0001")
    set_job(opened, status="running", lease_owner=study.storage.lease.owner)
    assert left(opened, 4.0) == 0.0
