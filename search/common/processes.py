"""Processes and who runs them: names that tell a process from all others, here and elsewhere."""

import getpass
import os
import socket
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
