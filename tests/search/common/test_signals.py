"""What a job's process does at a signal."""

import os
import pty
import subprocess
import sys

TWICE = """
import signal
from search.common.signals import Stop
stop = Stop()
with stop.on_signals():
    signal.raise_signal(signal.SIGINT)
    print("asked", stop.requested, flush=True)
    signal.raise_signal(signal.SIGINT)
"""


def test_the_second_interrupt_ends_it_at_once_and_gives_the_cursor_back() -> None:
    ours, theirs = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", TWICE], stdout=theirs, check=False)
    os.close(theirs)
    assert ended.returncode == 130
    assert os.read(ours, 1000) == b"asked True\r\n\x1b[?25h\r\n"
    os.close(ours)
