from dashboards.console.searched import KEPT, Shelf, searched
from search.jobs import jobs
from tests.dashboards.console.conftest import RUNNING, Living
from tests.search.conftest import add_job, make_spec
from tests.search.service.api.stories import TOLD


def test_trials_with_their_epochs_and_the_best_of_each_cell(shown: Living) -> None:
    found = searched(shown.served.store, shown.served.read(TOLD))
    assert found.curves[0] == (0.5, 0.7, 0.6, 0.65)
    assert [row["trial"] for row in found.ranked] == [1, 0, 2]
    assert [row["state"] for row in found.trials] == ["complete", "complete", "diverged", "failed"]
    assert {row["value"] for row in found.best_of_cell.values()} <= {0.7, 0.9}
    assert found.spans[0].began_ms > 0


def test_a_job_is_read_again_when_it_has_changed(living: Living) -> None:
    store, shelf = living.served.store, Shelf()
    first = shelf.read(store, jobs.find(store, RUNNING))
    assert shelf.read(store, jobs.find(store, RUNNING)) is first
    living.progress()
    second = shelf.read(store, jobs.find(store, RUNNING))
    assert second is not first
    assert second.curves[1] == (0.6,)


def test_few_jobs_are_kept(living: Living) -> None:
    store, shelf = living.served.store, Shelf()
    for number in range(KEPT + 2):
        shelf.read(store, jobs.find(store, add_job(store, make_spec(), f"job-{number}")))
    assert len(shelf.places) == KEPT
