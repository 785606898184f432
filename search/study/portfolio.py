"""Configurations that do well on several data sets: a search without a history tries them first.

`python -m benchmarks.portfolio` makes the list of real learning curves, and
`benchmarks.search_quality` tells what such a list is worth on data that it was not made of.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from search.common.faults import is_number
from search.document.conditions import Scalar
from search.document.parameters import Choices, FloatRange, IntRange, Parameter
from search.document.spec import JobSpec
from trainables.config import Parameters

FILE = Path(__file__).with_name("portfolio.json")


@cache
def entries() -> tuple[Parameters, ...]:
    """Return the configurations, the cheapest first."""
    return tuple(json.loads(FILE.read_text(encoding="utf-8"))["entries"])


def fitted(spec: JobSpec, entry: Parameters) -> Parameters:
    """Return as much of a configuration as a job's space has, as near as it has it."""
    known = {name: spec.space[name] for name in entry if name in spec.space}
    return {name: value for name in known for value in nearest(known[name], entry[name])}


def nearest(parameter: Parameter, value: Scalar) -> Iterator[Scalar]:
    """Yield the value of a parameter that is next to another, which may be null, if one is."""
    if isinstance(parameter, Choices) and value in parameter.choices:
        yield value
    elif is_number(value):
        yield from nearest_number(parameter, value)


def nearest_number(parameter: Parameter, value: float) -> Iterator[Scalar]:
    """Yield the value of a parameter that is next to a number, if one is."""
    if isinstance(parameter, Choices):
        numbers = [one for one in parameter.choices if is_number(one)]
        if numbers:
            apart = ratio if value > 0 and min(numbers) > 0 else difference
            yield min(numbers, key=lambda one: apart(one, value))
    elif isinstance(parameter, IntRange | FloatRange):
        inside = min(max(value, parameter.low), parameter.high)
        if parameter.step is None:
            yield float(inside)
        else:
            place = round((inside - parameter.low) / parameter.step)
            yield inside if parameter.grid is None else parameter.grid[place]


def ratio(one: float, other: float) -> float:
    """Return how far apart two numbers above 0 are: sizes and rates are near by their ratio."""
    return abs(math.log(one / other))


def difference(one: float, other: float) -> float:
    """Return how far apart two numbers are."""
    return abs(one - other)
