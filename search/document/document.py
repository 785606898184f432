"""The text of a job document and its overrides → one mapping."""

import copy
import json
import math
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from search.common.faults import SpecError, show

Document = dict[str, Any]
"""A job document as YAML reads it, nothing checked but its form."""

NAMED = ("sampler", "pruner")
"""Sections that may be a bare name, beside which an override may still set an option."""


MOST_VALUES = 100_000
"""Values in a document, each counted as often as an alias repeats it."""


class Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses double keys and reads 1e-3 as the number it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Return a mapping; raise on a key that stands in it twice or is no text."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            where = f"line {key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise SpecError([f"{where}: keys must be text, but got {show(key)}"])
            if key in seen:
                raise SpecError([f"{where}: a key may stand only once, but got {key} twice"])
            seen.add(key)
        return super().construct_mapping(node, deep)


class Dumper(yaml.SafeDumper):
    """YAML's safe dumper, which also quotes the texts that the loader would read as numbers."""


# YAML 1.1 takes an exponent for a number only after a dot; everybody writes 1e-3.
for one in (Loader, Dumper):
    one.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def dump_yaml(value: Any, **layout: Any) -> str:
    """Return a value as `load_yaml` reads it, in PyYAML's layout."""
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, **layout)
    return text


MISTAGGED = (AttributeError, LookupError, TypeError)
"""What PyYAML raises of a value that is not as its tag says, such as ``!!bool maybe``."""


def load_yaml(text: str, where: str) -> Any:
    """Return what ``text`` says; raise `SpecError` naming ``where`` if it is no YAML."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        check_extent(node, where)
        return None if node is None else construct(loader, node, where)
    except SpecError:  # a ValueError, too
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = (error.problem or "it is not").removeprefix("but ")
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError([f"{where}{place}: must be YAML, but {problem}"]) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise SpecError([f"{where}: must be YAML, but {reason}"]) from None
    except RecursionError:
        raise SpecError([f"{where}: must be YAML, but it is nested too deep"]) from None
    except (ValueError, OverflowError) as error:  # 2024-13-45, or 1:1:1.5 with hundreds of parts
        raise SpecError([f"{where}: must be YAML, but {error}"]) from None
    except MISTAGGED:
        raise SpecError([f"{where}: must be YAML whose values are as their tags say"]) from None


def construct(loader: Loader, node: yaml.Node, where: str) -> Any:
    """Return what a document's root stands for; faults name ``where``."""
    try:
        return loader.construct_document(node)
    except SpecError as error:
        raise SpecError([f"{where}, {fault}" for fault in error.faults]) from None


def check_extent(node: yaml.Node | None, where: str) -> None:
    """Refuse a document of which there is more than of any.

    Raises:
        SpecError: it holds too many values.
    """
    if extent(node, {}) > MOST_VALUES:
        raise SpecError([f"{where}: must hold at most {MOST_VALUES} values"])


def extent(node: yaml.Node | None, known: dict[int, float]) -> float:
    """Return how many values a node stands for; one that holds itself never ends.

    Before anything is built: a few lines of aliases, and merges (`<<`) of merges above all, can
    stand for billions of values.

    Args:
        node: a part of a document.
        known: what was counted before, by the identity of the node.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        known[id(node)] = 1 + sum(extent(one, known) for one in inside(node))
    return known[id(node)]


def inside(node: yaml.CollectionNode) -> Iterator[yaml.Node]:
    """Yield the values of a list or mapping, and the keys that are no mere words."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
        return
    for key, value in node.value:
        if isinstance(key, yaml.CollectionNode):
            yield key
        yield value


def load_document(text: str) -> Document:
    """Return the mapping that ``text`` holds; raise `SpecError` if it holds none."""
    document = load_yaml(text, "the document")
    if not isinstance(document, dict):
        got = "nothing" if document is None else show(document)
        raise SpecError([f"the document: must be a mapping of keys to values, but got {got}"])
    return document


def unwritable(value: Any, path: Sequence[str | int] = ()) -> Iterator[str]:
    """Yield a fault for every text of a document that no file and no answer can hold."""
    if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
        where = ".".join(map(str, path)) or "the document"
        yield f"{where}: must be Unicode, but holds half of a surrogate pair"
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from [*unwritable(key, path)] or unwritable(part, (*path, key))


def read_text(path: Path) -> str:
    """Return the text of a file; raise `SpecError` if it is missing or no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError([f"{path}: must be a job document, but there is no such file"]) from None
    except IsADirectoryError:
        raise SpecError([f"{path}: must be a job document, but it is a directory"]) from None
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}: must be UTF-8 text, but byte {error.start} is not"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpecError([f"{path}: must be readable, but {reason}"]) from None


def override(document: Document, overrides: Sequence[str], faults: list[str]) -> Document:
    """Return the document with each ``a.b.c=value`` set; faulty ones go to ``faults``.

    Values are YAML. A path leads through mappings and list indices, and makes mappings that are
    missing; the index that follows the last appends.
    """
    for text in overrides:
        path, sign, value = text.partition("=")
        keys = path.strip().split(".")
        if not sign or not all(keys):
            faults.append(f"--set {text}: must be KEY=VALUE, such as budget.trials=10")
            continue
        if len(keys) > 1 and keys[0] in NAMED and isinstance(document.get(keys[0]), str):
            document = {**document, keys[0]: {"name": document[keys[0]]}}
        try:
            document = assign(document, keys, load_yaml(value, f"--set {path}"), f"--set {path}")
        except SpecError as error:
            faults.extend(error.faults)
    return document


def assign(node: Any, keys: Sequence[str], value: object, where: str) -> Any:
    """Return ``node`` with ``value`` at the path; what the path passes is copied.

    Copied, since a YAML alias makes one mapping stand in two places.
    """
    if not keys:
        return value
    key, *rest = keys
    if node is None:
        node = [] if key.isdecimal() else {}
    if isinstance(node, dict):
        return {**node, key: assign(node.get(key), rest, value, where)}
    if not isinstance(node, list):
        raise SpecError([f"{where}: must lead through mappings and lists, but got {show(node)}"])
    if not re.fullmatch("[0-9]{1,9}", key) or int(key) > len(node):
        raise SpecError([f"{where}: must be an index from 0 to {len(node)}, but got {key}"])
    node, index = copy.copy(node), int(key)
    if index == len(node):
        node.append(None)
    node[index] = assign(node[index], rest, value, where)
    return node


def as_launched(text: str, overrides: Sequence[str]) -> str:
    """Return a document as the person wrote it, with what replaced parts of it, a line each."""
    said = [f"# --set {on_one_line(one)}" for one in overrides]
    return "\n".join([text.rstrip("\n"), *said]) + "\n"


def on_one_line(text: str) -> str:
    """Return an override whose value, which may be YAML of several lines, is on one."""
    if len(text.splitlines()) == 1:
        return text
    path, _, value = text.partition("=")
    return f"{path.strip()}={json.dumps(load_yaml(value, path))}"


def split_launched(text: str) -> tuple[str, list[str]]:
    """Return the document and the overrides of which `as_launched` has made a text."""
    lines = text.splitlines()
    overrides: list[str] = []
    while lines and lines[-1].startswith("# --set "):
        overrides.insert(0, lines.pop().removeprefix("# --set "))
    return "\n".join(lines) + "\n", overrides


def flatten(document: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a document as flat parameters; lists and the space's entries stay whole."""
    flat: dict[str, str] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and prefix == "":
            flat |= flatten(value, f"{name}.")
        elif value is not None and value != []:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat
