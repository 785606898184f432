from dashboards.console.overview import POINTS, overview, thinned, version
from search.database.store import Store
from tests.dashboards.console.conftest import RUNNING, Living
from tests.search.conftest import add_job, make_spec
from tests.search.service.api.stories import TOLD


def ids(store: Store, status: str = "", text: str = "", order: str = "newest") -> list[str]:
    return [job["id"] for job in overview(store, status, text, order).jobs]


def test_what_is_wanted_in_the_order_that_is_wanted(shown: Living) -> None:
    store = shown.served.store
    assert ids(store) == [RUNNING, TOLD]
    assert ids(store, order="oldest") == [TOLD, RUNNING]
    assert ids(store, order="best") == [TOLD, RUNNING]
    assert ids(store, order="nonsense") == [RUNNING, TOLD]
    assert ids(store, status="running") == [RUNNING]
    assert ids(store, text="ADA live") == [RUNNING]
    assert ids(store, text="ada nobody") == []


def test_the_small_line_follows_the_best(shown: Living) -> None:
    (job,) = overview(shown.served.store, "", TOLD, "newest").jobs
    assert job["line"][0] == 0.7
    assert job["line"][-1] == job["best_value"] == 0.9
    assert len(thinned(list(map(float, range(1000))))) <= POINTS + 5
    assert thinned([1.0, 2.0])[-1] == 2.0


def test_the_version_changes_with_the_list(living: Living) -> None:
    store = living.served.store
    seen = {version(store)}
    living.progress()
    seen.add(version(store))
    add_job(store, make_spec(), "new-0001", status="queued")
    seen.add(version(store))
    for number, status in enumerate(("stopped", "failed", "finished")):
        add_job(store, make_spec(), f"other-{number}", status=status)
        seen.add(version(store))
    living.progress()
    seen.add(version(store))
    assert len(seen) == 7
    assert version(store) in seen
