"""A command at a terminal, as a person has it: keys go in, and what is drawn is read."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0

ENTER, LEAVE, CLEAR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[2J"
"""What begins and ends the alternate screen, and what makes a screen flicker."""


class Terminal:
    """Runs `gatetune` at a pseudo-terminal of its own until it ends by itself."""

    def __init__(self, *arguments: str, rows: int = 24, columns: int = 80) -> None:
        self.arguments = arguments
        self.size = struct.pack("HHHH", rows, columns, 0, 0)
        self.output = b""

    def __enter__(self) -> Self:
        self.ours, self.its = pty.openpty()
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, self.size)
        self.before = self.settings
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "GATETUNE_SERVER"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search", *self.arguments],
            stdin=self.its,
            stdout=self.its,
            stderr=self.its,
            env=environment,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - a session needs its terminal for Ctrl-C
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.its)

    @property
    def settings(self) -> list[Any]:
        """How the terminal takes keys."""
        return termios.tcgetattr(self.its)

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self) -> bool:
        """Take what was drawn meanwhile; whether there was anything."""
        ready, _, _ = select.select([self.ours], [], [], 0.1)
        if ready:
            self.output += os.read(self.ours, 65_536)
        return bool(ready)

    def until(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Read until a text is drawn that was not before."""
        start, deadline = len(self.output), time.monotonic() + patience_s
        while text not in plain(self.output[start:]):
            assert time.monotonic() < deadline, f"no {text!r} in:\n{plain(self.output)[-2000:]}"
            assert self.process.poll() is None or self.read(), plain(self.output)[-2000:]
            self.read()

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Read until the command has ended, and return its exit code."""
        deadline = time.monotonic() + patience_s
        while self.process.poll() is None or self.read():
            assert time.monotonic() < deadline, "it does not end"
            self.read()
        return self.process.returncode

    @property
    def after(self) -> str:
        """What stands at the terminal once the alternate screen is left."""
        return plain(self.output.rpartition(LEAVE)[2])


def take_terminal() -> None:
    """Make standard input the terminal of this session, where Ctrl-C is heard.

    What runs in the background of a script ignores it, and so would all that it starts.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def plain(output: bytes) -> str:
    """Return what was drawn without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode(errors="replace"))
