"""What a job's driver has said, for people."""

from search.common.home import Home
from search.common.logs import Line, line_of, tail

LINES = 200


def read(home: Home, job_id: str) -> list[Line]:
    """Return the last lines of what a supervised driver logs; none where there is no log."""
    lines = tail(home.log(job_id, "driver")).splitlines()
    return [line_of(text) for text in lines[-LINES:]]
