"""What a space is made of: lists of choices, and ranges of whole and of other numbers."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, overload

from pydantic import Field

from search.common.faults import Section, is_number, read, show, unknown
from search.document.conditions import (
    Condition,
    Scalar,
    Settings,
    read_setting,
    read_when,
    setting_kind,
)

MOST_VALUES = 1_000_000
"""Values that a range with steps may have; a finer one is better searched without steps."""


class Grid(Sequence[float]):
    """The numbers ``low``, ``low + step`` and so on, each without rounding errors."""

    def __init__(self, low: float, step: float, count: int) -> None:
        self.low, self.step, self.places = low, step, count

    def at(self, place: int) -> float:
        """Return the number that is ``place`` steps from the first."""
        if isinstance(self.low, int) and isinstance(self.step, int):
            return self.low + place * self.step
        return float(Decimal(str(self.low)) + place * Decimal(str(self.step)))

    def __len__(self) -> int:
        return self.places

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self.at(place) for place in range(*index.indices(self.places))]
        if not 0 <= index < self.places:
            raise IndexError(index)
        return self.at(index)


class Parameter(Section):
    """A searched setting. It counts only where all of `when` holds."""

    when: dict[str, Condition] = Field(
        {}, description="conditions on other settings; it is searched only where all of them hold"
    )

    @property
    def grid(self) -> Sequence[Scalar] | None:
        """All values in order, or None where they are a continuum."""
        raise NotImplementedError

    def snap(self, value: Any) -> Scalar:
        """Return ``value`` as this parameter spells it, without another's rounding errors."""
        raise NotImplementedError

    def holds(self, value: Scalar) -> bool:
        """Whether a snapped value lies inside."""
        raise NotImplementedError

    def satisfies(self, conditions: Sequence[Condition]) -> bool:
        """Whether some value meets all conditions at once."""
        raise NotImplementedError

    def faults(self) -> Iterator[str]:
        """Yield the rules that the parameter itself breaks."""
        raise NotImplementedError

    def ends(self) -> Iterator[tuple[str, Scalar]]:
        """Yield the values that must be valid for all others to be, with their keys."""
        raise NotImplementedError


class Choices(Parameter):
    """One of a list of values."""

    choices: list[Any] = Field(min_length=1, description="the values; a bare list says the same")

    @property
    def grid(self) -> Sequence[Scalar]:
        """The choices."""
        return self.choices

    def snap(self, value: Any) -> Scalar:
        """Return the choice that equals ``value``, or the value itself."""
        found: Scalar = next((choice for choice in self.choices if choice == value), value)
        return found

    def holds(self, value: Scalar) -> bool:
        """Whether ``value`` is a choice."""
        return value in self.choices

    def satisfies(self, conditions: Sequence[Condition]) -> bool:
        """Whether some choice meets all conditions at once."""
        return any(all(c.holds(value) for c in conditions) for value in self.choices)

    def faults(self) -> Iterator[str]:
        """Yield the fault of a choice that is there twice."""
        doubled = [c for i, c in enumerate(self.choices) if c in self.choices[:i]]
        if doubled:
            yield f"choices must differ, but got {show(doubled[0])} twice"

    def ends(self) -> Iterator[tuple[str, Scalar]]:
        """Yield every choice."""
        yield from ((str(i), choice) for i, choice in enumerate(self.choices))

    def __str__(self) -> str:
        """Return the choices in words that follow "must be"."""
        return "one of " + ", ".join(map(show, self.choices))


class Range(Parameter):
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    step: float | None
    log: bool = Field(
        default=False, description="draw on a logarithmic scale; then `low` is above 0"
    )

    @property
    def grid(self) -> Grid | None:
        """The values in ascending order, or None where they are a continuum."""
        if self.step is None:
            return Grid(self.low, 1, 1) if self.low == self.high else None
        return Grid(self.low, self.step, int(self.steps(self.step)) + 1)

    def steps(self, step: float) -> Decimal:
        """Return how many steps lie between the ends."""
        return (Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(step))

    def snap(self, value: Any) -> Scalar:
        """Return the number on the grid within rounding errors, or the value itself."""
        found: Scalar = value
        if not is_number(value):
            return found
        if self.step is None:
            return float(value)
        near = Grid(self.low, self.step, 1).at(round((value - self.low) / self.step))
        return near if abs(value - near) <= 1e-8 * self.step else found

    def holds(self, value: Scalar) -> bool:
        """Whether a snapped value lies inside and on the grid."""
        if value is None or isinstance(value, str | bool) or not self.low <= value <= self.high:
            return False
        grid = self.grid
        return grid is None or grid[bisect_left(grid, value)] == value

    def satisfies(self, conditions: Sequence[Condition]) -> bool:
        """Whether some value meets all conditions at once."""
        return any(all(c.holds(v) for c in conditions) for v in self.candidates(conditions))

    def candidates(self, conditions: Sequence[Condition]) -> Iterator[Scalar]:
        """Yield few values, one of which meets the conditions if any value does."""
        for condition in conditions:
            if condition.any_of is not None:
                yield from (v for v in map(self.snap, condition.any_of) if self.holds(v))
                return
        bounds = [c.bounds for c in conditions]
        lows = [end for b in bounds for key, end in b.items() if key in {"at_least", "above"}]
        highs = [end for b in bounds for key, end in b.items() if key in {"at_most", "below"}]
        low, high = max([self.low, *lows]), min([self.high, *highs])
        # An open end and every excluded value may each cost one candidate.
        tries = 2 + sum(len(c.none_of or []) for c in conditions)
        grid = self.grid
        if grid is not None:
            yield from grid[(first := bisect_left(grid, low)) : first + tries]
        elif low <= high:
            yield from (low + (high - low) * i / tries for i in range(tries + 1))

    def faults(self) -> Iterator[str]:
        """Yield the rules that the ends, the step and the scale break."""
        if self.low > self.high:
            yield f"low <= high must hold, but got low={show(self.low)}, high={show(self.high)}"
            return
        if self.log and self.low <= 0:
            yield f"low must be greater than 0 where log is true, but got {show(self.low)}"
        if self.step is not None:
            yield from self.step_faults(self.step)

    def step_faults(self, step: float) -> Iterator[str]:
        """Yield what is wrong with the step."""
        steps = self.steps(step)
        every_number = isinstance(self, IntRange) and step == 1
        if self.log and "step" in self.model_fields_set and not every_number:
            yield f"log and step exclude each other, but got step={show(step)}"
        elif steps >= MOST_VALUES:
            yield f"step must leave at most {MOST_VALUES} values, but got {show(step)}"
        elif steps != int(steps):
            grid = Grid(self.low, step, 1)
            near = f"{show(grid.at(int(steps)))} or {show(grid.at(int(steps) + 1))}"
            yield f"high must be low plus whole steps, such as {near}, but got {show(self.high)}"

    def ends(self) -> Iterator[tuple[str, Scalar]]:
        """Yield both ends; what lies between is then valid too."""
        yield from (("low", self.low), ("high", self.high))

    def __str__(self) -> str:
        """Return the range in words that follow "must be"."""
        steps = f" in steps of {show(self.step)}" if self.step not in {None, 1} else ""
        return f"from {show(self.low)} to {show(self.high)}{steps}"


class IntRange(Range):
    """Whole numbers from `low` to `high`, both included."""

    low: int = Field(description="smallest value")
    high: int = Field(description="largest value")
    step: int = Field(1, ge=1, description="distance of neighbours; not together with log")


class FloatRange(Range):
    """Numbers from `low` to `high`, both included."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    step: float | None = Field(
        None, gt=0.0, description="distance of neighbours, null for a continuum; not with log"
    )


def read_space(document: object, faults: list[str]) -> dict[str, Parameter]:
    """Return the valid parameters of a document's `space`; ``faults`` takes the others'."""
    if not isinstance(document, dict) or all(value is None for value in document.values()):
        got = show(document)
        faults.append(f"space: must be a mapping of at least one setting to search, but got {got}")
        return {}
    found = {}
    for name, value in document.items():
        if name not in Settings.model_fields:
            faults.append(unknown(f"space.{name}", "setting", Settings.model_fields))
        elif value is None:  # as if left out, so that --set can take a setting out of the space
            continue
        elif parameter := read_parameter(name, value, faults):
            found[name] = parameter
    return found


def read_parameter(name: str, value: object, faults: list[str]) -> Parameter | None:
    """Return the parameter that ``value`` describes, or None after adding to ``faults``."""
    where, before = f"space.{name}", len(faults)
    if isinstance(value, list):
        value = {"choices": value}
    if not isinstance(value, dict):
        text = "must be a list of values or a mapping with low and high"
        faults.append(f"{where}: {text}, but got {show(value)}")
        return None
    kind = setting_kind(name)
    if kind is None and "choices" not in value:
        faults.append(f"{where}: {name} is no number, so it must be a list, but got {show(value)}")
        return None
    ranged = IntRange if kind is int else FloatRange
    model: type[Parameter] = Choices if "choices" in value else ranged
    when = read_when(value["when"], f"{where}.when", faults) if "when" in value else {}
    parameter = read(model, {**value, "when": {}}, where, faults)
    if parameter is None:
        return None
    for key, end in parameter.ends():
        read_setting(name, end, f"{where}.{key}", faults)
    faults.extend(f"{where}: {fault}" for fault in parameter.faults())
    if len(faults) > before:
        return None
    if isinstance(parameter, Choices) and kind is float:
        choices = [None if c is None else float(c) for c in parameter.choices]
        parameter = parameter.model_copy(update={"choices": choices})
    return parameter.model_copy(update={"when": when})
