"""What a service says: a line of JSON an event, with the job and the trial that it is about."""

import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from search.common.texts import readable, without_passwords

BYTES = 64 * 1024
"""At the end of a log that are read, in which there are its last words."""

FIELDS = {"levelname": "level", "name": "logger"}


@dataclass(frozen=True)
class Line:
    """One line of a log, for people."""

    time: str
    text: str


def write_json(level: int = logging.INFO, file: Path | None = None, **fields: str) -> None:
    """Let everything that this process logs be lines of JSON on standard error.

    Args:
        level: below which nothing is logged.
        file: where the lines are added as well, unless standard error goes there.
        fields: what every line says, such as the job of a driver.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None and not is_stderr(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file))
    formatter = SafeFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields=FIELDS,
        static_fields=fields,
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
        timestamp="time",
    )
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=handlers, force=True)
    logging.captureWarnings(capture=True)


class SafeFormatter(JsonFormatter):
    """Writes no password of a URL, also of what others have said in an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return without_passwords(super().format(record))


def tail(path: Path) -> str:
    """Return the end of a log, nothing where there is none; a job's goes with it at any moment."""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - BYTES))
        return stream.read().decode(errors="replace")
    return ""


def line_of(text: str) -> Line:
    """Return a line; what is no JSON, such as a traceback of a crash, as it stands."""
    with suppress(ValueError):
        said = json.loads(text)
        if isinstance(said, dict):
            parts = str(said.get("message", "")), str(said.get("exc_info") or "")
            return Line(str(said.get("time", "")), "\n".join(filter(None, parts)))
    return Line("", text)


def last_words(log: str) -> str:
    """Return the last thing that a log says, in one line; of a traceback the error."""
    lines = log.strip().splitlines()
    said = line_of(lines[-1]).text.strip().splitlines() if lines else []
    return readable(said[-1])[:500] if said else "nothing"


def is_stderr(file: Path) -> bool:
    """Return whether standard error goes to a file."""
    return file.exists() and os.path.samestat(file.stat(), os.fstat(2))
