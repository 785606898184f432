"""What a job's driver has said, for people."""

import json
from contextlib import suppress
from dataclasses import dataclass

from search.common.home import Home

BYTES = 64 * 1024
"""At the end of a log."""

LINES = 200


@dataclass(frozen=True)
class Line:
    """One thing that a driver has said."""

    time: str
    level: str
    text: str


def read(home: Home, job_id: str) -> list[Line]:
    """Return the last lines of what a supervised driver logs; none where there is no log."""
    path = home.log(job_id, "driver")
    with suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
        return [line_of(text) for text in lines[-LINES:]]
    return []


def line_of(text: str) -> Line:
    """Return a line; what is no JSON, such as a traceback of a crash, as it stands."""
    with suppress(ValueError):
        said = json.loads(text)
        if isinstance(said, dict):
            error = said.get("exc_info")
            message = f"{said.get('message', '')}\n{error}" if error else said.get("message", "")
            return Line(str(said.get("time", "")), str(said.get("level", "")), str(message))
    return Line("", "", text)
