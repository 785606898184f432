"""Work in threads, beside what waits for something else."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> "Future[T]":
    """Do something in a thread that keeps nobody who ends from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


class Errands:
    """Work in threads that nobody waits for, until all of it is to be done.

    Leaving its context without an error waits for all; with one, only for what has begun.

    Args:
        number: of the threads.
    """

    def __init__(self, number: int) -> None:
        self.pool = ThreadPoolExecutor(number)
        self.under_way: list[Future[None]] = []

    def run(self, work: Callable[[], None]) -> None:
        """Have something done."""
        self.under_way.append(self.pool.submit(work))

    def check(self) -> None:
        """Forget what is done; raise the error of what went wrong."""
        done = [one for one in self.under_way if one.done()]
        self.under_way = [one for one in self.under_way if one not in done]
        for one in done:
            one.result()

    def __enter__(self) -> "Errands":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.check()


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Yield so many threads; who fails, or is interrupted, does not wait for what has not begun."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
