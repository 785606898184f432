"""What a service says: a line of JSON an event, with the job and the trial that it is about."""

import logging
import os
import sys
from pathlib import Path

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

FIELDS = {"levelname": "level", "name": "logger"}


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
    formatter = JsonFormatter(
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


def is_stderr(file: Path) -> bool:
    """Return whether standard error goes to a file."""
    return file.exists() and os.path.samestat(file.stat(), os.fstat(2))
