"""What is wrong with a job document, said as the rule and then the value."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

SHOWN = 80
"""Characters of a wrong value that a message repeats."""


class SpecError(ValueError):
    """A job document breaks rules; `faults` holds all that were found, one sentence each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        title = "the job document has a fault" if count == 1 else f"{count} faults"
        super().__init__("\n  ".join([f"{title}:", *self.faults]))


class Section(BaseModel):
    """A part of the job document: strict types, no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a document is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def show(value: object) -> str:
    """Return a value as YAML would spell it, shortened where it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return shorten(number(value))
    if isinstance(value, float | str | list | tuple | dict):
        return shorten(Brief().repr(value))
    return shorten(f"{value} ({type(value).__name__})")


class Brief(reprlib.Repr):
    """Shortens a value, and writes numbers that Python writes in no digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = SHOWN

    def repr_int(self, x: int, _level: int) -> str:
        """Return a whole number."""
        return shorten(number(x))


def shorten(text: str) -> str:
    """Return at most `SHOWN` characters of a text."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def number(value: float) -> str:
    """Return a number without a trailing `.0`."""
    if isinstance(value, int):
        return hex(value) if value.bit_length() > 256 else str(value)
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one most likely meant, or None."""
    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown(where: str, kind: str, known: Iterable[str]) -> str:
    """Return the fault of an unknown name; ``where`` is the dotted path that ends in it."""
    known = list(known)
    guess = nearest(where.rpartition(".")[2], known)
    hint = f"did you mean {guess}?" if guess else f"valid are {', '.join(known)}"
    return f"{where}: unknown {kind}; {hint}"


def read(
    model: type[Model], value: object, where: str, faults: list[str], *, kind: str = "key"
) -> Model | None:
    """Return a flat section read from ``value``, or None after adding to ``faults`` why not."""
    if not isinstance(value, Mapping):
        faults.append(f"{where}: must be a mapping, but got {show(value)}")
        return None
    try:
        return model.model_validate(
            {key: one for key, one in value.items() if one is not None or takes_null(model, key)}
        )
    except ValidationError as error:
        faults.extend(describe(detail, model, where, kind) for detail in error.errors())
        return None


def takes_null(model: type[BaseModel], key: str) -> bool:
    """Whether null says something else of a key than that it is left out."""
    field = model.model_fields.get(key)
    return field is None or field.is_required() or type(None) in get_args(field.annotation)


def describe(error: ErrorDetails, model: type[BaseModel], where: str, kind: str) -> str:
    """Return one of pydantic's errors as a fault at its dotted path."""
    places = [str(part) for part in error["loc"] if part != "[key]"]  # of a mapping: the key itself
    path = ".".join(filter(None, [where, *places]))
    if error["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        return unknown(path, kind, known)
    if error["type"] == "missing":
        return f"{path}: is required"
    if error["type"] == "value_error" and isinstance(error["input"], Mapping):
        return f"{path}: {rule(error)}"  # of several keys together
    return f"{path}: {rule(error)}, but got {show(error['input'])}{hint(error)}"


RULES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "dict_type": "must be a mapping",
}
BOUNDS = {
    "greater_than": ("gt", "must be greater than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
}


def rule(error: ErrorDetails) -> str:
    """Return the rule that one of pydantic's errors says was broken."""
    context: dict[str, Any] = error.get("ctx", {})
    if error["type"] == "literal_error":
        return f"must be one of {', '.join(expected(error))}"
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] in BOUNDS:
        key, text = BOUNDS[error["type"]]
        return str(text.format(number(context[key])))
    return RULES.get(error["type"], error["msg"])


def expected(error: ErrorDetails) -> list[str]:
    """Return the words that would have been valid, which pydantic gives as one phrase."""
    phrase: str = error["ctx"]["expected"]
    return phrase.replace("'", "").replace(" or ", ", ").split(", ")


def hint(error: ErrorDetails) -> str:
    """Return what the writer may have meant, in brackets, or nothing."""
    value = error["input"]
    if not isinstance(value, str):
        return ""
    if error["type"] == "literal_error":
        guess = nearest(value, expected(error))
        return f" (did you mean {guess}?)" if guess else ""
    if error["type"] in {"int_type", "float_type"}:
        try:
            float(value)
        except ValueError:
            return ""
        return " (write it without quotes)"
    return ""
