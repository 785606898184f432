"""How commands end."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from search.commands.ends import PageConsole, RunConsole, fail, print_json
from search.common.signals import Stop


@pytest.fixture
def hang_up() -> Iterator[None]:
    """What a closed terminal sends ends this process, whoever started it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def pipe() -> Iterator[TextIO]:
    """A file whose reader has gone away."""
    read, write = os.pipe()
    os.close(read)
    with suppress(BrokenPipeError), os.fdopen(write, "w") as file:
        yield file


@pytest.fixture
def unread(hang_up: None, pipe: TextIO) -> RunConsole:
    return RunConsole(file=pipe)


def test_a_page_of_which_enough_was_read_is_no_failure(
    pipe: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", pipe)
    console = PageConsole()
    console.print("a line")
    console.print("another one")


def test_json_of_which_enough_was_read_is_no_failure(
    pipe: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", pipe)
    print_json({"status": "finished"})


def test_a_run_that_nobody_reads_stops(unread: RunConsole) -> None:
    stop = Stop()
    with stop.on_signals():
        unread.print("an epoch")
        unread.print("another one")
    assert stop.requested


def test_a_run_that_nohup_started_goes_on_unread(unread: RunConsole) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    with stop.on_signals():
        unread.print("an epoch")
    assert not stop.requested


def test_a_run_for_its_json_goes_on_unread(
    hang_up: None, pipe: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", pipe)
    stop = Stop()
    with stop.on_signals():
        RunConsole(stderr=True).print("an epoch")
    assert not stop.requested
    pipe.write("an error at the end")  # goes nowhere, and breaks nothing
    pipe.flush()


def test_a_command_that_nobody_reads_ends(unread: RunConsole) -> None:
    with pytest.raises(SystemExit, match=r"^130$"):
        unread.print("an epoch")


def test_a_message_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^1$"):
        fail("the lease is lost", 1)
    assert capsys.readouterr().err == "gatetune: the lease is lost\n"
