"""Memory: whether what a file holds fits into it, and giving back what is no longer used."""

import ctypes
from pathlib import Path

from trainables.faults import DatasetError

SHARE = 0.5
"""Of the memory that is free, what the values of one file may take."""


def check_room(path: Path, size_bytes: int) -> None:
    """Refuse a file that is too large to read, as a few packed kilobytes may be.

    Raises:
        DatasetError: it is.
    """
    import psutil

    free = psutil.virtual_memory().available
    if size_bytes > SHARE * free:
        raise DatasetError(
            f"{path.name}: must fit into half of the free memory, {free * SHARE / 1e9:.1f} GB, but "
            f"holds {size_bytes / 1e9:.1f} GB"
        )


def give_back() -> None:
    """Return to the system what was freed, of which pyarrow and the C library keep much."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
