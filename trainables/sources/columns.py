"""Which column of a table is what: as the document says, or as the names suggest."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from trainables.faults import DatasetError, brief, is_number

GUESSES = {
    "sequence": ("sequence", "sequence_id", "seq", "seq_id", "series", "series_id", "case_id",
                 "sample_id", "id"),
    "step": ("step", "time_step", "timestep", "time", "timestamp", "datetime", "date", "t"),
    "label": ("label", "labels", "class", "target", "y"),
}  # fmt: skip
"""Names by which columns are known, in any case, the likelier first."""

GROUPS = ("group", "subject", "subject_id", "person", "person_id", "patient", "patient_id", "user",
          "user_id", "participant", "speaker", "session")  # fmt: skip
"""Names of what sequences have in common that should stay in the same part."""

NUMBERED = re.compile(r"index|row|row_id|no|nr|unnamed:.*")
"""What columns are called, in small letters, that number the rows, beside `GUESSES`."""

LABELS = ("label", "labels", "class", "target")
"""Names of what is learned, and hardly ever of what is learned from."""

LAG = re.compile(r"(?:.*[_. ])?(?:t-|lag[_. -]?)[0-9]+", re.IGNORECASE)
"""A column of the wide form that is named by how many steps ago it was measured."""

CELL = re.compile(r"(?P<feature>.*?)[_. -]?(?<![0-9])(?P<step>[0-9]{1,18})")
"""A column of the wide form: what is measured, and at which step."""


MOMENT = re.compile(r"(?P<feature>)(?P<step>.+)", re.DOTALL)
"""The same where all columns are called by numbers, such as seconds."""

AROUND = re.compile(r"(?P<feature>.*?)[_. ]?(?P<step>[+-][0-9]{1,18})")
"""The same where steps are counted from a moment, before it and behind it."""


@dataclass(frozen=True)
class Columns:
    """What a document says about the columns of a table; None and empty: to be guessed.

    Attributes:
        label: what is learned, several for several numbers.
        sequence: which sequence a row belongs to, where each row is a step.
        step: what orders the rows of a sequence.
        features: what is measured.
        group: sequences with the same value stay in the same part.
        time: what orders the sequences, the latest of which are held out.
    """

    label: tuple[str, ...] = ()
    sequence: str | None = None
    step: str | None = None
    features: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None

    @classmethod
    def of(cls, saved: dict[str, Any]) -> "Columns":
        """Return the columns whose fields were saved as JSON."""
        listed = {name: tuple(saved[name]) for name in ("label", "features")}
        return cls(**{**saved, **listed})

    def named(self) -> dict[str, str]:
        """Return every column that is named, by the key that names it."""
        one = {
            "sequence": self.sequence, "step": self.step, "group": self.group, "time": self.time
        }  # fmt: skip
        found = {key: name for key, name in one.items() if name is not None}
        for key, names in (("label", self.label), ("features", self.features)):
            found |= {key if len(names) == 1 else f"{key}.{n}": x for n, x in enumerate(names)}
        return found


@dataclass(frozen=True)
class Layout:
    """Which column is what.

    Attributes:
        label: as in `Columns`, at least one where the table is labelled.
        sequence: None in the wide form, in which each row is a sequence.
        step: None for the order of the file.
        features: names of what is measured.
        cells: the columns of the wide form, step by step and feature by feature.
        group: None for no groups.
        time: None for no order.
    """

    label: tuple[str, ...]
    sequence: str | None
    step: str | None
    features: tuple[str, ...]
    cells: tuple[str, ...]
    group: str | None
    time: str | None

    @property
    def steps(self) -> int:
        """Steps of the wide form."""
        return len(self.cells) // len(self.features)

    @property
    def names(self) -> dict[str, bool]:
        """Columns that hold names, and whether they may be numbers with fractions."""
        ids = dict.fromkeys(filter(None, (self.sequence, self.group)), False)
        return ids | dict.fromkeys(self.label, True)

    @property
    def used(self) -> list[str]:
        """Every column that is needed, once."""
        one = (self.sequence, self.step, self.group, self.time)
        values = self.cells if self.sequence is None else self.features
        return list(dict.fromkeys([*filter(None, one), *self.label, *values]))

    def describe(self) -> str:
        """Return what was found, in words."""
        if self.sequence is None:
            return (
                f"a row a sequence: label {', '.join(self.label)}, "
                f"{self.steps} steps of {', '.join(self.features)}"
            )
        step = "in the order of the file" if self.step is None else f"ordered by {self.step}"
        return (
            f"a row a step: sequence {self.sequence}, {step}, label {', '.join(self.label)}, "
            f"features {', '.join(self.features)}"
        )


def may_number_rows(name: str) -> bool:
    """Return whether a column is called as those that number the rows."""
    word = name.strip().lower()
    return word in GUESSES["sequence"] or NUMBERED.fullmatch(word) is not None


def find(file: str, names: Iterable[str], given: Columns, *, labelled: bool = True) -> Layout:
    """Return which of a table's columns is what.

    Args:
        file: the name of the file, for messages.
        names: of its columns.
        given: what the document says.
        labelled: whether there must be a label; else the layout may have none, and is that of a
            model, which has learned from features in the order in which they are given.

    Raises:
        DatasetError: a column that is named is not there, or there is no label or no feature.
    """
    names = list(names)
    if not labelled and not set(names).issuperset(given.label):
        given = replace(given, label=())
    taken = named(file, names, given)
    sequence = given.sequence or guess(names, "sequence", taken)
    space = coordinate(names)
    label = given.label or as_tuple(guess(names, "label", taken | space))
    if labelled and not label:
        called = [word for word in GUESSES["label"] if not (space and word == "y")]
        raise DatasetError(
            f"data.label: must name the column of {file} that is to be learned, since none is "
            f"called {', '.join(called)}; it has {brief(names)}"
        )
    step = given.step
    if sequence is not None and step is None:
        step = guess(names, "step", taken)
    taken |= {*label, *filter(None, (sequence, step))}
    features = given.features or tuple(name for name in names if name not in taken)
    if not features:
        raise DatasetError(
            f"data.features: {file} must have columns to learn from, but has {brief(names)} alone"
        )
    if labelled and not given.features:
        check_labels(file, features, label)
    if sequence is not None:
        return Layout(label, sequence, step, features, (), given.group, given.time)
    like = step or (None if given.features else guess(list(features), "step", set()))
    if like is not None:
        raise DatasetError(
            f"data.sequence: must name the column of {file} that says to which sequence a row "
            f"belongs, since {like} {'is' if step else 'seems to be'} its step; where each row is "
            f"a sequence, data.features names the steps, or data.time names {like}; it has "
            f"{brief(names)}"
        )
    ordered = bool(given.features) and not labelled
    measured, cells = grid(file, features, ordered=ordered)
    return Layout(label, None, None, measured, cells, given.group, given.time)


def check_labels(file: str, features: Iterable[str], label: tuple[str, ...]) -> None:
    """Refuse to learn from what is called as labels are, unless the document says so."""
    odd = next((name for name in features if name.strip().lower() in LABELS), None)
    if odd is not None:
        raise DatasetError(
            f"{file}, column {odd}: is called as what is learned, but {brief(label)} is: "
            f"data.label names {odd}, too, or data.features those that are learned from"
        )


def named(file: str, names: list[str], given: Columns) -> set[str]:
    """Return the columns that a document names.

    Raises:
        DatasetError: one is not there, or is to be two things.
    """
    said, known = given.named(), set(names)
    for key, name in said.items():
        if name not in known:
            raise DatasetError(
                f"data.{key}: must be a column of {file}, but got {name!r}; it has {brief(names)}"
            )
    if given.time == given.step:  # what orders steps may order sequences
        said.pop("time", None)
    name, times = Counter(said.values()).most_common(1)[0] if said else ("", 0)
    if times > 1:
        keys = " and as ".join(f"data.{key}" for key in said if said[key] == name)
        raise DatasetError(f"{file}, column {name}: must be one thing only, but is named as {keys}")
    return set(said.values())


def guess(names: list[str], key: str, taken: set[str]) -> str | None:
    """Return the column that is called as such columns are; None if none is."""
    called = {name.strip().lower(): name for name in reversed(names) if name not in taken}
    return next((called[word] for word in GUESSES[key] if word in called), None)


def coordinate(names: list[str]) -> set[str]:
    """Return what is called ``y`` beside a ``z``: measured in space, and no label."""
    called = {name.strip().lower(): name for name in names}
    return {called["y"]} if {"y", "z"} <= called.keys() else set()


def as_tuple(name: str | None) -> tuple[str, ...]:
    """Return a name as a list of names."""
    return () if name is None else (name,)


def are_lags(names: Iterable[str]) -> bool:
    """Return whether columns are called by how many steps ago they were, but for the present."""
    lagged = {name: LAG.fullmatch(name) is not None for name in names}
    return any(lagged.values()) and all(
        is_lag or re.fullmatch(r".*?(?<![0-9])0+", name) for name, is_lag in lagged.items()
    )


def is_grid(names: Sequence[str]) -> bool:
    """Return whether columns are called as the steps of rows that are sequences."""
    found = [match for name in names if (match := CELL.fullmatch(name))]
    return len({match["feature"] for match in found}) < len(found) == len(names)


def check_one_kind(file: str, names: Sequence[str]) -> None:
    """Refuse columns of the wide form of which few are no steps.

    Raises:
        DatasetError: says what helps.
    """
    plain = [name for name in names if CELL.fullmatch(name) is None]
    if plain and 3 * len(plain) < len(names):
        raise DatasetError(
            f"{file}: must have columns of one kind, but {brief(plain)} has no number of a step as "
            f"{names[0] if names[0] not in plain else names[-1]} has; data.features names those "
            "that are learned from"
        )


def grid(
    file: str, names: tuple[str, ...], *, ordered: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the features of the wide form, and its columns step by step.

    Columns such as ``x_0, x_1, y_0, y_1`` are steps of several features, such as ``t-1`` and
    ``lag_1`` are steps ago, such as ``t-1`` and ``t+1`` before and behind a moment, such as ``0.5``
    and ``1`` moments; any others are the steps of one, in the order of the file, as are several of
    which each has one number only.

    Args:
        file: the name of the file, for messages.
        names: of the columns.
        ordered: whether the columns stand in the order of their steps already.

    Raises:
        DatasetError: a feature lacks a step that another has, or has one twice.
    """
    found: dict[str, dict[Decimal, str]] = {}
    around = [match for name in names if (match := AROUND.fullmatch(name))]
    form = CELL
    if all(is_number(name) and math.isfinite(float(name)) for name in names):
        form = MOMENT
    elif len(around) == len(names) and any("+" in match["step"] for match in around):
        form = AROUND
    cells = {name: match for name in names if (match := form.fullmatch(name))}
    if len(cells) < len(names):
        return ("value",), names
    for name, match in cells.items():
        steps, step = found.setdefault(match["feature"], {}), Decimal(match["step"])
        if step in steps:
            raise DatasetError(
                f"{file}, column {name}: must be a step of its own, but {steps[step]} is the same"
            )
        steps[step] = name
    if len(found) > 1 and all(len(steps) == 1 for steps in found.values()):
        return ("value",), names
    first, *others = found
    for other in others:
        lacking = set(found[first]) ^ set(found[other])
        if lacking:
            step = min(lacking)
            has, lacks = (first, other) if step in found[first] else (other, first)
            raise DatasetError(
                f"{file}: each feature must have the same steps, but {has} has step {step} and "
                f"{lacks} has not"
            )
    order = list(found[first]) if ordered else sorted(found[first], reverse=are_lags(names))
    return tuple(feature or "value" for feature in found), tuple(
        found[feature][step] for step in order for feature in found
    )
