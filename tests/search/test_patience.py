from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from search.engine import Interrupted
from search.lease import Lease
from search.patience import Patience
from search.progress import Progress
from search.signals import Stop
from search.store import Store
from tests.search.conftest import add_job, make_spec
from trainables.folder import FolderError

AWAY = FolderError("s3://bucket/x cannot be used: no answer")


class Flaky:
    """Raises that the store is away, so often as it was told to."""

    def __init__(self, times: int) -> None:
        self.times = times

    def check(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise AWAY


@pytest.fixture
def patience(store: Store) -> Iterator[Callable[[Any, Callable[[], None]], Patience]]:
    with Lease(store, add_job(store, make_spec())) as lease:
        told = Progress(Console(quiet=True), lease.job_id, "home")
        yield lambda folder, halt: Patience(store, lease, folder, told, Stop(), halt)


def test_a_store_that_goes_away_is_waited_for(
    patience: Callable[[Any, Callable[[], None]], Patience],
) -> None:
    store, step = Flaky(2), Flaky(1)
    patience(store, lambda: None)(step.check)
    assert (step.times, store.times) == (-1, -1), "asked until it answered, then done again"


def test_a_stop_is_heard_while_a_store_is_away(
    patience: Callable[[Any, Callable[[], None]], Patience],
) -> None:
    def halt() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        patience(Flaky(99), halt)(Flaky(99).check)
