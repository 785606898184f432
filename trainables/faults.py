"""What is wrong with data, said for people; light to import."""

import re
from collections.abc import Iterable

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What would command a terminal, rather than be read."""

LONGEST = 80
"""Characters of a name in a message."""


class DatasetError(ValueError):
    """The data set cannot be had, or not split as asked; the message says what would help."""


def is_number(text: str) -> bool:
    """Whether a text reads as a number, infinities and NaN among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def short(text: str) -> str:
    """Return text for a message of one line: of what is too long for a name, the beginning."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def brief(names: Iterable[object]) -> str:
    """Return names for a message of one line, not too many of them."""
    shown = [short(name) if name.isprintable() else repr(short(name)) for name in map(str, names)]
    if len(shown) <= 12:
        return ", ".join(shown)
    # What is looked for, such as a table's label, often comes last.
    return f"{', '.join(shown[:9])} … {', '.join(shown[-3:])} ({len(shown)} in all)"
