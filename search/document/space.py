"""The search space of a job: which configurations there are, and how one is drawn."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from search.common.faults import show
from search.document.conditions import Condition, Scalar, Settings
from search.document.parameters import Choices, FloatRange, Grid, IntRange, Parameter
from trainables.config import Parameters

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

    from search.document.spec import JobSpec


class Space:
    """Searched settings, some of which count only for certain values of others.

    Args:
        parameters: the searched settings by name.
        fixed: values of the others, on which conditions may stand as well.

    Raises:
        graphlib.CycleError: conditions go in a circle.

    """

    def __init__(self, parameters: Mapping[str, Parameter], fixed: Parameters) -> None:
        self.parameters = parameters
        self.fixed = {name: value for name, value in fixed.items() if name not in parameters}
        self.names = in_order(parameters)

    @classmethod
    def of(cls, spec: "JobSpec") -> "Space":
        """Return the space of a job."""
        return cls(spec.space, Settings(**spec.training).model_dump())

    @property
    def is_conditional(self) -> bool:
        """Whether some parameter counts only for certain values of another."""
        return any(other in self.parameters for p in self.parameters.values() for other in p.when)

    def is_active(self, name: str, chosen: Parameters) -> bool:
        """Whether ``name`` counts, given the active parameters that come before it."""
        values = self.fixed | chosen
        when = self.parameters[name].when
        return all(other in values and c.holds(values[other]) for other, c in when.items())

    def suggest(self, trial: "Trial") -> Parameters:
        """Return what a trial's sampler draws: the active parameters, parents first."""
        chosen: Parameters = {}
        for name in self.names:
            if self.is_active(name, chosen):
                chosen[name] = draw(trial, name, self.parameters[name])
        return chosen

    def distributions(self, parameters: Parameters) -> "dict[str, BaseDistribution]":
        """Return Optuna's distributions of the given active parameters, parents first.

        Samplers that know conditions read them from this order, the same as that of `suggest`.
        """
        return {
            name: distribution(self.parameters[name]) for name in self.names if name in parameters
        }

    def conditions_on(self, name: str) -> list[Condition]:
        """Return what other parameters ask of ``name``."""
        return [p.when[name] for p in self.parameters.values() if name in p.when]

    def holds(self, parameters: Parameters) -> bool:
        """Whether these are the active parameters of one of its configurations."""
        chosen: Parameters = {}
        for name in self.names:
            if self.is_active(name, chosen) != (name in parameters):
                return False
            if name in parameters:
                # As it was when it was drawn, without the rounding errors of its grid.
                chosen[name] = self.parameters[name].snap(parameters[name])
        return True

    def active(self, parameters: Parameters) -> Parameters:
        """Return those of some parameters that count beside the others."""
        chosen: Parameters = {}
        for name in self.names:
            if name in parameters and self.is_active(name, chosen):
                chosen[name] = parameters[name]
        return chosen

    @property
    def size(self) -> int | None:
        """How many configurations there are, or None for a continuum."""
        if any(parameter.grid is None for parameter in self.parameters.values()):
            return None
        return self.count(0, {})

    def most(self, trials: int) -> int:
        """Return how many of so many trials there can be, each with another configuration."""
        size = self.size
        return trials if size is None else min(trials, size)

    def count(self, place: int, chosen: Parameters) -> int:
        """Return how many ways there are to choose the parameters from ``place`` on."""
        if place == len(self.names):
            return 1
        name = self.names[place]
        grid = self.parameters[name].grid
        if grid is None or not self.is_active(name, chosen):
            return self.count(place + 1, chosen)
        conditions = self.conditions_on(name)
        return sum(
            many * self.count(place + 1, chosen | ({name: value} if conditions else {}))
            for value, many in alike(grid, conditions)
        )

    def configurations(self) -> Iterator[Parameters]:
        """Yield every configuration once, its active parameters only.

        Raises:
            ValueError: there are infinitely many.

        """
        if self.size is None:
            raise ValueError("the space must be finite to be listed, but has a continuous range")
        yield from self.complete(0, {})

    def complete(self, place: int, chosen: Parameters) -> Iterator[Parameters]:
        """Yield every way to choose the parameters from ``place`` on."""
        if place == len(self.names):
            yield chosen
            return
        name = self.names[place]
        if not self.is_active(name, chosen):
            yield from self.complete(place + 1, chosen)
            return
        for value in self.parameters[name].grid or ():
            yield from self.complete(place + 1, {**chosen, name: value})

    def impossible(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield why ``name`` is never active: the condition's key, and what contradicts it.

        Parameters are independent of each other once they are active, so it suffices that each
        can meet all that is demanded of it, directly and by way of others.
        """
        for other, conditions in self.demands(name).items():
            demand = " and ".join(dict.fromkeys(f"{other} must be {c}" for c in conditions))
            parameter = self.parameters.get(other)
            if parameter is not None and not parameter.satisfies(conditions):
                yield other, f"{demand}, but it is {parameter}"
            elif parameter is None and not all(c.holds(self.fixed[other]) for c in conditions):
                yield other, f"{demand}, but it is {show(self.fixed[other])}"

    def demands(self, name: str) -> dict[str, list[Condition]]:
        """Return all conditions that hold where ``name`` is active, by setting."""
        found: dict[str, list[Condition]] = {}
        seen = {name}

        def visit(one: str) -> None:
            for other, condition in self.parameters[one].when.items():
                found.setdefault(other, []).append(condition)
                if other in self.parameters and other not in seen:
                    seen.add(other)
                    visit(other)

        visit(name)
        return found


def in_order(parameters: Mapping[str, Parameter]) -> tuple[str, ...]:
    """Return the names, each after those that its conditions name, else as they came.

    Raises:
        graphlib.CycleError: there is no such order.

    """
    parents = {name: [o for o in p.when if o in parameters] for name, p in parameters.items()}
    TopologicalSorter(parents).prepare()
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for parent in parents[name]:
            visit(parent)
        order.setdefault(name)

    for name in parameters:
        visit(name)
    return tuple(order)


def circle(parameters: Mapping[str, Parameter]) -> list[str] | None:
    """Return the names along a circle of conditions, or None where there is none."""
    try:
        in_order(parameters)
    except CycleError as error:
        names: list[str] = error.args[1]
        return names[::-1]
    return None


def alike(grid: Sequence[Scalar], conditions: Sequence[Condition]) -> Iterator[tuple[Scalar, int]]:
    """Yield one value of each set that all conditions treat alike, and the set's size.

    Counting sets instead of values keeps the size of a large space cheap to find.
    """
    if not conditions:
        yield grid[0], len(grid)
    elif not isinstance(grid, Grid):
        yield from ((value, 1) for value in grid)
    else:
        named = [
            value
            for c in conditions
            for value in [*c.bounds.values(), *(c.any_of or []), *(c.none_of or [])]
            if isinstance(value, int | float)
        ]
        cuts = {0, len(grid), *(b(grid, v) for v in named for b in (bisect_left, bisect_right))}
        edges = sorted(cuts)
        for first, end in pairwise(edges):
            yield grid[first], end - first


def draw(trial: "Trial", name: str, parameter: Parameter) -> Scalar:
    """Return what the trial's sampler draws for one parameter, and let the trial know it."""
    if isinstance(parameter, Choices):
        found: Scalar = trial.suggest_categorical(name, parameter.choices)
        return found
    if isinstance(parameter, IntRange):
        p = parameter
        return int(trial.suggest_int(name, p.low, p.high, step=p.step, log=p.log))
    if isinstance(parameter, FloatRange):
        f = parameter
        return f.snap(trial.suggest_float(name, f.low, f.high, step=f.step, log=f.log))
    raise TypeError(f"a parameter must be a list or a range, but got {parameter!r}")


def distribution(parameter: Parameter) -> "BaseDistribution":
    """Return one parameter as Optuna describes it."""
    from optuna import distributions

    if isinstance(parameter, Choices):
        return distributions.CategoricalDistribution(parameter.choices)
    if isinstance(parameter, IntRange):
        p = parameter
        return distributions.IntDistribution(p.low, p.high, log=p.log, step=p.step)
    if isinstance(parameter, FloatRange):
        f = parameter
        return distributions.FloatDistribution(f.low, f.high, log=f.log, step=f.step)
    raise TypeError(f"a parameter must be a list or a range, but got {parameter!r}")
