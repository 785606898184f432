"""Work in threads beside what waits for something else."""

from functools import partial
from threading import Event

import pytest

from search.background import Errands


def test_errands_are_all_done_in_the_end() -> None:
    done: list[int] = []
    with Errands(1) as errands:
        for number in range(3):
            errands.run(partial(done.append, number))
    assert done == [0, 1, 2]


def test_what_went_wrong_in_an_errand_is_raised() -> None:
    def fail() -> None:
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"), Errands(1) as errands:
        errands.run(fail)


def test_an_error_leaves_what_has_not_begun_undone() -> None:
    given_up = Event()
    done: list[str] = []

    def first() -> None:
        assert given_up.wait(20)
        done.append("first")

    def interrupted() -> None:
        with Errands(1) as errands:
            errands.run(first)
            errands.run(partial(done.append, "second"))
            errands.under_way[1].add_done_callback(lambda _: given_up.set())
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert done == ["first"]
