"""The process that delivers, and one that does not come to its end."""

import subprocess
import sys

import pytest

from search.common.home import Home
from search.tracking.courier import Courier

FROZEN = "import signal; signal.pause()"
KILLED = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"


class Another(Courier):
    """Starts a program in place of the one that delivers."""

    def __init__(self, home: Home, program: str) -> None:
        self.program = program
        self.starts = 0
        super().__init__(home, "tiny-0001", "owner")

    def start(self) -> "subprocess.Popen[str]":
        self.starts += 1
        return subprocess.Popen(
            [sys.executable, "-c", self.program], stdin=subprocess.PIPE, text=True
        )


@pytest.mark.parametrize(("program", "patience_s", "starts"), [(FROZEN, 0.1, 1), (KILLED, 60.0, 3)])
def test_a_drain_is_begun_again_where_others_killed_it_and_not_where_it_took_too_long(
    home: object, monkeypatch: pytest.MonkeyPatch, program: str, patience_s: float, starts: int
) -> None:
    monkeypatch.setattr("search.tracking.courier.DRAIN_S", patience_s)
    courier = Another(Home.from_environment(), program)
    assert not courier.drain()
    assert courier.starts == starts
