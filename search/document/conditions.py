"""When a searched setting counts: what other settings must be."""

from typing import Any

from pydantic import Field, ValidationError, model_serializer

from search.common.faults import Section, read, rule, show, unknown
from trainables.config import TrialConfig

Scalar = str | int | float | bool | None
"""One value of a setting."""


class Settings(TrialConfig):
    """The settings of a trial, as a document may give them: finite numbers only."""

    model_config = Section.model_config


def setting_kind(name: str) -> type[int] | type[float] | None:
    """Return the number type of a setting, or None where it is no number."""
    annotation = Settings.model_fields[name].annotation
    if annotation in {int, int | None}:
        return int
    return float if annotation in {float, float | None} else None


def read_setting(name: str, value: object, where: str, faults: list[str]) -> Scalar:
    """Return a value for the setting ``name``, or None after adding to ``faults`` why not."""
    try:
        found: Scalar = getattr(Settings.model_validate({name: value}), name)
    except ValidationError as error:
        got = show(value)
        faults += [f"{where}: {name} {rule(detail)}, but got {got}" for detail in error.errors()]
        return None
    return found


class Condition(Section):
    """What another setting must be. All parts that are given must hold."""

    any_of: list[Any] | None = Field(None, description="one of these; a bare list says the same")
    at_least: int | float | None = Field(None, description="this or more")
    at_most: int | float | None = Field(None, description="this or less")
    above: int | float | None = Field(None, description="more than this")
    below: int | float | None = Field(None, description="less than this")
    none_of: list[Any] | None = Field(None, alias="not", description="not this, or none of these")

    def holds(self, value: Scalar) -> bool:
        """Whether ``value`` is as demanded; null lies in no interval."""
        if self.any_of is not None and value not in self.any_of:
            return False
        if self.none_of is not None and value in self.none_of:
            return False
        if not self.bounds:
            return True
        return isinstance(value, int | float) and (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @property
    def bounds(self) -> dict[str, float]:
        """The ends of the interval that are given, by key."""
        ends = {key: getattr(self, key) for key in ("at_least", "at_most", "above", "below")}
        return {key: end for key, end in ends.items() if end is not None}

    @model_serializer
    def document(self) -> list[Scalar] | dict[str, Any]:
        """Return the condition as a document writes it."""
        if self.any_of is not None and not self.bounds and self.none_of is None:
            return self.any_of
        lists = {"any_of": self.any_of, "not": self.none_of}
        return self.bounds | {key: value for key, value in lists.items() if value is not None}

    def __str__(self) -> str:
        """Return the condition in words that follow "must be"."""
        words = [f"{key.replace('_', ' ')} {show(end)}" for key, end in self.bounds.items()]
        if self.any_of is not None:
            words.insert(0, " or ".join(map(show, self.any_of)))
        if self.none_of is not None:
            words.append("not " + " or ".join(map(show, self.none_of)))
        return " and ".join(words)


def read_when(document: object, where: str, faults: list[str]) -> dict[str, Condition]:
    """Return the conditions of a parameter by setting; ``faults`` takes what is wrong."""
    if document is None:
        return {}
    if not isinstance(document, dict):
        faults.append(
            f"{where}: must be a mapping of settings to conditions, but got {show(document)}"
        )
        return {}
    found = {}
    for name, demand in document.items():
        if name not in Settings.model_fields:
            faults.append(unknown(f"{where}.{name}", "setting", Settings.model_fields))
        elif condition := read_condition(name, demand, f"{where}.{name}", faults):
            found[name] = condition
    return found


def read_condition(name: str, demand: object, where: str, faults: list[str]) -> Condition | None:
    """Return a condition on the setting ``name``: a value, a list of values, or a mapping."""
    if not isinstance(demand, dict):
        demand = {"any_of": demand}
    demand = {
        key: value if isinstance(value, list) or key not in {"any_of", "not"} else [value]
        for key, value in demand.items()
    }
    before = len(faults)
    if not demand:
        faults.append(f"{where}: must be a value, a list or a mapping of conditions, but got {{}}")
    condition = read(Condition, demand, where, faults)
    if condition is None or not demand:
        return None
    if condition.bounds and setting_kind(name) is None:
        faults.append(f"{where}: {name} is no number, so only a value, a list or not can be asked")
    if condition.any_of == [] or condition.none_of == []:
        faults.append(f"{where}: must name at least one value, but got []")
    for value in [*(condition.any_of or []), *(condition.none_of or [])]:
        read_setting(name, value, where, faults)
    return condition if len(faults) == before else None
