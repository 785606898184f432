"""The signals that end a job, and what follows from them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SHOW_CURSOR = b"\x1b[?25h\n"


class Interrupted(Exception):  # noqa: N818 - a normal outcome, not an error
    """The job was asked to stop; its running trials wait in the study."""


def that_end() -> tuple[signal.Signals, ...]:
    """Return the signals that end this process cleanly.

    A terminal that is closed sends SIGHUP, which what was started by `nohup` ignores.
    """
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hang_up)


class Stop:
    """Whether this process was told to stop; the second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.requested = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.requested and number == signal.SIGINT:
            # Everything is in the database already, and Ray's processes die with this one.
            if terminal := next(filter(os.isatty, (1, 2)), None):
                os.write(terminal, SHOW_CURSOR)  # which a live table hides
            os._exit(130)
        self.requested = True

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals while the block runs."""
        before = {number: signal.signal(number, self.handle) for number in that_end()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
