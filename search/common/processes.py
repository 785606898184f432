"""Processes and who runs them: names that tell a process from all others, here and elsewhere."""

import getpass
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def user() -> str:
    """Return who runs this process; by number where the machine knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may be run as anybody
        return str(os.getuid())


def birth(pid: int) -> str:
    """Return when a process started, in the kernel's own ticks, or '' where it has ended.

    Process numbers are used again; together with its birth a number names one process.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # ended, but not yet fetched by its parent


def namespace() -> int:
    """Return the number of the namespace in which process numbers mean what they do here."""
    return Path("/proc/self/ns/pid").stat().st_ino


def place() -> str:
    """Return where process numbers mean the same: host, since its last boot, and container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    return f"{socket.gethostname()}/{boot}/{namespace()}"


def mark() -> str:
    """Return what, in their environment, marks the processes that this process starts."""
    return f"{os.getpid()}:{birth(os.getpid())}:{namespace()}"


def marked(name: str) -> Iterator[tuple[int, str]]:
    """Yield the processes that a variable of the environment marks, with ``pid:birth`` of owners.

    A process that sets its title may overwrite its environment, and the mark in it, so that what
    a marked process has started belongs to the same owner.
    """
    ours = re.compile(rb"(?:^|\0)%s=(\d+:\d+):%d\0" % (name.encode(), namespace()))
    owners: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another's process, or one that has just ended
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(folder.name))
            if found := ours.search((folder / "environ").read_bytes()):
                owners[int(folder.name)] = found[1].decode()
    pids = list(owners)
    for pid in pids:
        yield pid, owners[pid]
        for child in children.get(pid, ()):
            if child not in owners:
                owners[child] = owners[pid]
                pids.append(child)


def kill(pid: int) -> None:
    """Kill a process, unless it has ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def end_orphans(name: str) -> None:
    """Kill the marked processes whose owner has ended without ending them."""
    for pid, owner in marked(name):
        process, _, born = owner.partition(":")
        if birth(int(process)) != born:
            kill(pid)
