"""The fields of the launch page and the document, in step: each change of one is made in the other.

The document is the truth. A field writes one key of it and leaves the rest, comments included.
"""

import io
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.anchor import Anchor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from search.common.faults import SpecError, number
from search.document.document import MISTAGGED, load_document
from search.document.pruners import PRUNERS
from search.document.rules import DEFAULT_SPACE, default_space
from search.document.samplers import SAMPLERS
from search.jobs.submission import check_length
from trainables.metrics import METRICS

Kind = Literal["text", "number", "choice", "cells", "range"]


@dataclass(frozen=True)
class Field:
    """One key of the document.

    Attributes:
        path: where it stands, such as ``budget.trials``.
        label: what people call it.
        kind: how it is asked for.
        default: what counts where the document does not say it, as people read it.
        hint: a few words on what it does.
        choices: what may be chosen.
    """

    path: str
    label: str
    kind: Kind = "number"
    default: str = ""
    hint: str = ""
    choices: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The keys that it writes: a range has two."""
        return (f"{self.path}.low", f"{self.path}.high") if self.kind == "range" else (self.path,)


OBJECTIVES = tuple(dict.fromkeys(f"val_{name}" for names in METRICS.values() for name in names))

GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "What is searched",
        (
            Field("space.cell", "Cell", "cells"),
            Field("space.hidden_size", "Hidden size", "range", hint="units a layer"),
            Field("space.layers", "Layers", "range"),
            Field("space.learning_rate", "Learning rate", "range", hint="on a logarithmic scale"),
            Field("space.dropout", "Dropout", "range", hint="between layers"),
        ),
    ),
    (
        "How it is searched",
        (
            Field("budget.trials", "Trials", default="30"),
            Field("budget.hours", "Hours at most", default="no limit"),
            Field("budget.target", "Good enough at", default="none"),
            Field("objective.metric", "Objective", "choice", "val_accuracy", choices=OBJECTIVES),
            Field("sampler", "Sampler", "choice", "tpe", choices=tuple(SAMPLERS)),
            Field("pruner", "Pruner", "choice", "successive-halving", choices=tuple(PRUNERS)),
        ),
    ),
    (
        "How a trial trains",
        (
            Field("training.epochs", "Epochs", default="6"),
            Field("training.batch_size", "Batch size", default="64"),
            Field(
                "training.schedule", "Learning rate over time", "choice", "one-cycle",
                choices=("one-cycle", "constant"),
            ),
            Field("data.validation", "Validation share", default="0.1"),
        ),
    ),
    (
        "How the winner is made sure of",
        (
            Field("confirm.top", "Configurations", default="3", hint="trained again"),
            Field("confirm.seeds", "Seeds each", default="5"),
            Field("seed", "Seed", default="0"),
        ),
    ),
)  # fmt: skip
FIRST = (Field("name", "Name", "text"), Field("data.source", "Data", "choice"))
FIELDS = {field.path: field for field in (*FIRST, *(f for _, fs in GROUPS for f in fs))}

NEW = {f"space.{name}": one for name, one in DEFAULT_SPACE.items() if isinstance(one, dict)}
"""What a range begins as, of which a person has given one end."""


def values_of(text: str) -> dict[str, str | list[str]]:
    """Return what the document says for each field, as a person types it; nothing of none."""
    try:
        check_length(text, ())
        document = load_document(text)
    except SpecError:
        return {}
    found: dict[str, str | list[str]] = {}
    for field in FIELDS.values():
        for part in field.parts:
            value = at(document, part.split("."))
            if isinstance(value, Mapping) and part in {"sampler", "pruner"}:
                value = value.get("name")
            if isinstance(value, list):
                found[part] = [written(one) for one in value]
            elif value is not None and not isinstance(value, Mapping):
                found[part] = written(value)
    return found


def at(document: Any, keys: list[str]) -> Any:
    """Return what stands in a document under some keys; None for nothing."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def written(value: Any) -> str:
    """Return a value as a person types it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def changed(text: str, part: str, value: str | list[str]) -> str:
    """Return the document with one key as a person has typed it; without the key for nothing.

    Raises:
        SpecError: the document cannot be read, so that nothing can be written into it.
    """
    check_length(text, ())
    load_document(text)  # refuses what would take long to read
    round_trip = YAML()
    round_trip.preserve_quotes = True
    round_trip.width = 4096
    try:
        document = round_trip.load(text) or {}
    except (YAMLError, RecursionError) as error:
        raise SpecError([f"the document: cannot be changed by a field: {error}"]) from error
    is_text = FIELDS.get(part) is not None and FIELDS[part].kind == "text"
    write(document, part, as_text(value) if is_text and isinstance(value, str) else typed(value))
    stream = io.StringIO()
    round_trip.dump(document, stream)
    return stream.getvalue()


def as_text(value: str) -> str | None:
    """Return a text in quotes where YAML would take it for something else; None for nothing."""
    if not value:
        return None
    return value if typed(value) == value else DoubleQuotedScalarString(value)


def typed(value: str | list[str]) -> Any:
    """Return what a person has typed, as YAML reads it; a text that it cannot read as it stands."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    try:
        # YAML 1.1 takes 1:30 for a number of base 60.
        read = yaml.safe_load(value) if len(value) < 200 and ":" not in value else value
    except (yaml.YAMLError, ValueError, *MISTAGGED):  # such as 2024-02-30
        return value
    if isinstance(read, str):
        try:
            number = float(read)  # YAML 1.1 takes 1e-3 for a text
        except ValueError:
            return read
        return number if math.isfinite(number) else read
    if isinstance(read, float) and not math.isfinite(read):
        return value
    return read if isinstance(read, int | float | bool) or read is None else value


def write(document: Any, part: str, value: Any) -> None:
    """Put a value under a dotted path, and make the mappings on the way."""
    *way, last = part.split(".")
    if value is None or value == []:
        remove(document, [*way, last])
        return
    if way[:1] == ["space"] and document.get("space") is None:
        document["space"] = default_space(document.get("training"))
    node = document
    for depth, key in enumerate(way):
        if not isinstance(node.get(key), dict):
            so_far = ".".join(way[: depth + 1])
            node[key] = NEW[so_far] if so_far in NEW and last in {"low", "high"} else {}
        node = own(node, key)
    if part == "objective.metric":
        node.pop("direction", None)  # the metric says it
    if isinstance(node.get(last), list) and isinstance(value, list):
        own(node, last)[:] = value  # it keeps its style
    else:
        node[last] = value


def own(node: Any, key: str) -> Any:
    """Return what is under a key, of its own: an alias makes one thing stand in two places."""
    node[key] = copied = deepcopy(node[key])
    if hasattr(copied, Anchor.attrib):
        delattr(copied, Anchor.attrib)
    return copied


def remove(document: Any, keys: list[str]) -> None:
    """Delete a key, and a mapping of which nothing is left; a range goes with one of its ends.

    A space of nothing stays, and is told to be one: without it the default one would be searched.
    """
    *way, last = keys
    node = at(document, way) if way else document
    if not isinstance(node, dict):
        return
    if last in {"low", "high"} and way:
        remove(document, way)
        return
    node.pop(last, None)
    if way and not node and way != ["space"]:
        remove(document, way)


def placed(faults: tuple[str, ...]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the faults of each field, and those that belong to none."""
    parts = {part for field in FIELDS.values() for part in field.parts} | FIELDS.keys()
    at_field: dict[str, list[str]] = {}
    rest = []
    for fault in faults:
        path, _, said = fault.partition(":")
        keys = path.split(".")
        known = (".".join(keys[:n]) for n in range(len(keys), 0, -1))
        found = next((one for one in known if one in parts), None)
        if found is None:
            rest.append(fault)
        else:
            at_field.setdefault(found, []).append(said.strip() if found == path else fault)
    return at_field, rest
