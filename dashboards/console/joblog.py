"""What a job's driver has said, for people."""

from contextlib import suppress

from search.common.home import Home
from search.common.logs import Line, line_of

BYTES = 64 * 1024
"""At the end of a log."""

LINES = 200


def read(home: Home, job_id: str) -> list[Line]:
    """Return the last lines of what a supervised driver logs; none where there is no log."""
    path = home.log(job_id, "driver")
    with suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
        return [line_of(text) for text in lines[-LINES:]]
    return []
