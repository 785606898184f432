"""The signals that end a job."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether this process was told to stop; the second Ctrl-C ends it at once.

    A terminal that is closed sends SIGHUP, which ends a job as cleanly as SIGTERM, unless it was
    started by `nohup`.
    """

    def __init__(self) -> None:
        self.requested = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.requested and number == signal.SIGINT:
            # Everything is in the database already, and Ray's processes die with this one.
            os._exit(130)
        self.requested = True

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals while the block runs."""
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        taken = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
        before = {number: signal.signal(number, self.handle) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
