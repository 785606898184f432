"""Texts that others have written, as people may be shown them."""

import re

from trainables.faults import CONTROL

USER = re.compile(r"://[^/\s]+@")
"""Who asks, and the password, in a URL."""

MARKS = re.compile(r"[\\`*\[\]<|&~]|(?<!\w)_|_(?!\w)")
"""What Markdown may take for more than text; an underscore within a word is none."""


def without_passwords(text: str) -> str:
    """Return a text whose URLs say nothing of who asks."""
    return USER.sub("://", text)


def readable(text: str) -> str:
    """Return a text that others have written as it may be shown: it commands no terminal."""
    return CONTROL.sub("", without_passwords(text))


def literal(text: str) -> str:
    """Return Markdown that shows a text as it is."""
    return MARKS.sub(r"\\\g<0>", text)
