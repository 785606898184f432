"""Texts that others have written, as people may be shown them."""

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What would command a terminal, rather than be read."""

USER = re.compile(r"://[^/\s]+@")
"""Who asks, and the password, in a URL."""


def without_passwords(text: str) -> str:
    """Return a text whose URLs say nothing of who asks."""
    return USER.sub("://", text)


def readable(text: str) -> str:
    """Return a text that others have written as it may be shown: it commands no terminal."""
    return CONTROL.sub("", without_passwords(text))
