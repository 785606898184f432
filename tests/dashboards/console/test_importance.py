from dashboards.console.importance import Importances
from dashboards.console.searched import SHELF
from tests.dashboards.console.conftest import Living
from tests.search.conftest import train
from tests.search.service.api.stories import TOLD


def test_importances_are_drawn_again_when_more_trials_are_complete(living: Living) -> None:
    store, drawing = living.served.store, Importances()

    def draw(job: str) -> object:
        return drawing.draw(SHELF.read(store, living.served.read(job)), store)

    first = draw(TOLD)
    assert draw(TOLD) is first
    assert "complete trials this is a hint at the most." in str(first)
    running = draw(living.lease.job_id)
    living.progress()
    assert draw(living.lease.job_id) is running
    train(living.study, 0.5, 0.7, 0.6, 0.65)
    assert draw(living.lease.job_id) is not running
