"""Work in threads, beside what waits for something else."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
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
    """Work in threads that nobody waits for before the end.

    Args:
        number: of the threads.
    """

    def __init__(self, number: int) -> None:
        self.pool = ThreadPoolExecutor(number)
        self.under_way: set[Future[None]] = set()

    def run(self, work: Callable[[], None]) -> None:
        """Have something done."""
        self.under_way.add(self.pool.submit(work))

    def settle(self, timeout_s: float) -> bool:
        """Wait so long at the most; return whether all is done, or raise what went wrong."""
        done, self.under_way = wait(self.under_way, timeout_s)
        for one in done:
            one.result()
        return not self.under_way

    def close(self) -> None:
        """Give up what has not begun, and wait for what has."""
        self.pool.shutdown(cancel_futures=True)


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Yield so many threads; who fails, or is interrupted, does not wait for what has not begun."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
