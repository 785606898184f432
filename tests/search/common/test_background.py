"""Work in threads beside what waits for something else."""

from contextlib import closing
from functools import partial
from threading import Event

import pytest

from search.common.background import Errands


def test_errands_are_done_while_others_wait_for_them() -> None:
    done: list[int] = []
    with closing(Errands(1)) as errands:
        for number in range(3):
            errands.run(partial(done.append, number))
        assert errands.settle(20)
    assert done == [0, 1, 2]


def test_what_went_wrong_in_an_errand_is_raised_once() -> None:
    def fail() -> None:
        raise OSError("no answer")

    with closing(Errands(1)) as errands:
        errands.run(fail)
        with pytest.raises(OSError, match="no answer"):
            errands.settle(20)
        assert errands.settle(0)


def test_what_has_begun_when_all_is_given_up_is_done_and_nothing_else() -> None:
    begun, given_up = Event(), Event()
    done: list[str] = []

    def first() -> None:
        begun.set()
        assert given_up.wait(20)
        done.append("first")

    with closing(Errands(1)) as errands:
        errands.run(first)
        assert begun.wait(20)
        errands.run(partial(done.append, "second"))
        for one in errands.under_way:
            one.add_done_callback(lambda _: given_up.set())
        assert not errands.settle(0)
    assert done == ["first"]
