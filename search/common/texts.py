"""Texts that others have written, as people may be shown them."""

import re
from urllib.parse import urlsplit

from trainables.faults import CONTROL

USER = re.compile(r"://[^/\s]+@")
"""Who asks, and the password, in a URL."""

TOKEN = re.compile(r"(gt_[0-9a-f]{8})_(?:[\w-]{20,}|[\w-]+(?![\w-]|\.\w))", re.ASCII)
"""A token of the service: its id, and its secret of 43 signs, or a part of it. The name of a file
may begin alike, as `gt_20250101_labels.csv` does, but has a suffix."""

MARKS = re.compile(r"[\\`*\[\]<|&~]|(?<!\w)_|_(?!\w)")
"""What Markdown may take for more than text; an underscore within a word is none."""


def is_web_address(url: str) -> bool:
    """Whether a URL leads to a server that speaks HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number, or a bracket that is not closed
        return False


def without_passwords(text: str) -> str:
    """Return a text whose URLs say nothing of who asks, and whose tokens have no secret."""
    return TOKEN.sub(r"\1_…", USER.sub("://", text))


def readable(text: str) -> str:
    """Return a text that others have written as it may be shown: it commands no terminal."""
    return CONTROL.sub("", without_passwords(text))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, which is the part a person can act on."""
    return readable((str(error).strip().splitlines() or [type(error).__name__])[0])


def last_line(reason: str) -> str:
    """Return the last line of a traceback, which says what happened."""
    return readable((reason.strip().splitlines() or ["no reason is known"])[-1].strip())


def literal(text: str) -> str:
    """Return Markdown that shows a text as it is."""
    return MARKS.sub(r"\\\g<0>", text)
