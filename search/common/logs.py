"""What a service says: a line of JSON an event, with the job and the trial that it is about."""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

FIELDS = {"levelname": "level", "name": "logger"}


def write_json(level: int = logging.INFO, **fields: str) -> None:
    """Let everything that this process logs be lines of JSON on standard error.

    Args:
        level: below which nothing is logged.
        fields: what every line says, such as the job of a driver.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s %(name)s %(message)s",
            rename_fields=FIELDS,
            static_fields=fields,
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
            timestamp="time",
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
