"""Linux's processes, as /proc shows them."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that has not ended."""

    pid: int
    parent: int
    born: int
    """In the kernel's ticks; with the pid it names one process for good."""
    title: str

    @classmethod
    def read(cls, pid: int) -> "Process | None":
        """The process with this number, None where there is none or it has ended."""
        folder = Path(f"/proc/{pid}")
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return None
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[1]), int(fields[19]), title.strip())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def is_alive(self) -> bool:
        now = Process.read(self.pid)
        return now is not None and now.born == self.born

    def has_setting(self, setting: str) -> bool:
        """Whether it was started with this environment setting, NAME=VALUE."""
        try:
            environment = Path(f"/proc/{self.pid}/environ").read_bytes()
        except OSError:
            return False
        return setting.encode() in environment.split(b"\0")


def processes() -> Iterator[Process]:
    """Every process."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names, of which most are no processes
        if name.isdecimal() and (process := Process.read(int(name))) is not None:
            yield process


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, itself first."""
    children: dict[int, list[int]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process.pid)
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def send_all(targets: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to processes, those that have ended excepted."""
    for process in targets:
        process.send(number)
