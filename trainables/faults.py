"""What is wrong with data, said for people; light to import."""

from collections.abc import Iterable


class DatasetError(ValueError):
    """The data set cannot be had, or not split as asked; the message says what would help."""


def is_number(text: str) -> bool:
    """Whether a text reads as a number, infinities and NaN among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def brief(names: Iterable[object]) -> str:
    """Return names for a message of one line, not too many of them."""
    shown = [name if name.isprintable() else repr(name) for name in map(str, names)]
    if len(shown) <= 12:
        return ", ".join(shown)
    # What is looked for, such as a table's label, often comes last.
    return f"{', '.join(shown[:9])} … {', '.join(shown[-3:])} ({len(shown)} in all)"
