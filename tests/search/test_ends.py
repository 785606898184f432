"""How commands end."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from search.ends import RunConsole, fail
from search.signals import Stop


@pytest.fixture
def unread() -> Iterator[RunConsole]:
    """A console whose reader has gone away."""
    read, write = os.pipe()
    os.close(read)
    with suppress(BrokenPipeError), os.fdopen(write, "w") as file:
        yield RunConsole(file=file)


def test_a_run_that_nobody_reads_stops(
    unread: RunConsole, capfd: pytest.CaptureFixture[str]
) -> None:
    stop = Stop()
    with stop.on_signals():
        unread.print("an epoch")
        unread.print("another one")
    assert stop.requested


def test_a_run_that_nobody_hangs_up_goes_on_unread(
    unread: RunConsole, capfd: pytest.CaptureFixture[str]
) -> None:
    before, stop = signal.signal(signal.SIGHUP, signal.SIG_IGN), Stop()
    try:
        with stop.on_signals():
            unread.print("an epoch")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not stop.requested


def test_a_command_that_nobody_reads_ends(
    unread: RunConsole, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        unread.print("an epoch")


def test_a_message_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        fail("the lease is lost", 1)
    assert capsys.readouterr().err == "gatetune: the lease is lost\n"
