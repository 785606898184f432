"""Memory: whether what a file holds fits into it, and giving back what is no longer used."""

import ctypes
from contextlib import suppress
from pathlib import Path

from trainables.faults import DatasetError

SHARE = 0.5
"""Of the memory that is free, what the values of one file may take."""


def check_room(path: Path, size_bytes: int) -> None:
    """Refuse a file that is too large to read, as a few packed kilobytes may be.

    Raises:
        DatasetError: it is.
    """
    free = free_memory()
    if size_bytes > SHARE * free:
        raise DatasetError(
            f"{path.name}: must fit into half of the free memory, {free * SHARE / 1e9:.1f} GB, but "
            f"holds {size_bytes / 1e9:.1f} GB"
        )


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that this process may still take.

    Args:
        groups: where the kernel tells what a container may have at most, and has.
    """
    import psutil

    free: int = psutil.virtual_memory().available
    for most, used, stat, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        # Of older kernels.
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        with suppress(OSError, ValueError):  # no container, or one without a limit: "max"
            limit, taken = (int((groups / name).read_text("ascii")) for name in (most, used))
            lines = map(str.split, (groups / stat).read_text("ascii").splitlines())
            # What was read of files is given up where others need the memory.
            given_up = next((int(size) for name, size in lines if name == cached), 0)
            free = min(free, max(0, limit - taken + given_up))
    return free


def give_back() -> None:
    """Return to the system what was freed, of which pyarrow and the C library keep much."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
