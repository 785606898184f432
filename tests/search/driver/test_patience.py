import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from rich.console import Console

from search.common.signals import Stop
from search.database.lease import Lease
from search.database.store import Store
from search.driver.patience import Patience
from search.driver.progress import Progress
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


def test_a_store_that_goes_away_is_waited_for(store: Store) -> None:
    away: Any = Flaky(2)
    step, told = Flaky(1), Progress(Console(quiet=True), "tiny-0001", "home")
    with Lease(store, add_job(store, make_spec())) as lease:
        Patience(lease, away, told, Stop(), lambda: None)(step.check)
    assert (step.times, away.times) == (-1, -1), "asked until it answered, then done again"


def test_a_database_whose_commits_fail_does_not_answer_yet(store: Store) -> None:
    away, step = Flaky(2), Flaky(1)
    heard = io.StringIO()
    told = Progress(Console(file=heard, width=200), "tiny-0001", "home")

    @contextmanager
    def session() -> Iterator[None]:
        yield
        away.check()

    folder: Any = Flaky(0)
    with (
        Lease(store, add_job(store, make_spec())) as lease,
        patch.object(lease, "session", session),
    ):
        Patience(lease, folder, told, Stop(), lambda: None)(step.check)
    assert heard.getvalue().count("answers again") == 1
