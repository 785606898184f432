"""Makes the portfolio that searches begin with, of the table of real learning curves.

    python -m benchmarks.portfolio

A configuration is as good as the best epochs of it and of configurations like it tell
(`surrogate`), in all of their trainings, since a single one may have been lucky; on several data
sets, as its mean place among all configurations there. Of those that are good the cheapest are
taken, but for those that are near to a cheaper one, and come first: which of them is best depends
on the data, and the cheaper each and the further they are apart, the sooner it is known.
`search_quality` tells what such a list is worth on data that it was not made of. Series are left
out: there it is tried.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import TABLE
from benchmarks.replay import Table
from benchmarks.surrogate import Surrogate
from search.study.cost import typical_s
from search.study.portfolio import FILE, fitted
from trainables.config import Parameters

SOURCES = ("digits", "mnist-5k")
"""The data sets that it is made of."""

GOOD = 0.1
"""The part of all configurations that are good."""

APART = 0.6
"""The least square distance of two entries, where each parameter goes from 0 to 1, and the
learning rate, which decides most, to 3."""


def portfolio(tables: Sequence[Table]) -> list[Parameters]:
    """Return configurations that do well on all of some data sets, the cheapest first."""
    drawn = [curve.parameters for table in tables for curve in table.curves]
    worth = np.mean([places(table, drawn) for table in tables], axis=0)
    configs = [tables[0].spec.config(one) for one in near(tables[0], drawn)]
    points = [tables[0].point(config) for config in configs]
    chosen: list[int] = []
    for at in np.argsort([typical_s(config) for config in configs], kind="stable"):
        if worth[at] >= 1 - GOOD and all(
            np.square(points[at] - points[other]).sum() > APART for other in chosen
        ):
            chosen.append(int(at))
    return [drawn[at] for at in chosen]


@cache
def elsewhere(source: str, path: Path = TABLE) -> list[Parameters]:
    """Return the portfolio as it is without a data set, of a table's file."""
    return portfolio([Table(path, other) for other in SOURCES if other != source])


def near(table: Table, drawn: Sequence[Parameters]) -> list[Parameters]:
    """Return configurations as near as a table's space has them."""
    return [fitted(table.spec, one) for one in drawn]


def places(table: Table, drawn: Sequence[Parameters]) -> NDArray[np.float64]:
    """Return the place of each configuration on a table's data, from 0 for the worst to 1."""
    points = [table.point(table.spec.config(parameters)) for parameters in near(table, drawn)]
    values = Surrogate(table.points, table.mean).worth(np.array(points))
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return order / (len(drawn) - 1)


def rounded(parameters: Parameters) -> Parameters:
    """Return a configuration whose numbers people can read."""
    return {
        name: float(f"{value:.2g}") if isinstance(value, float) else value
        for name, value in parameters.items()
    }


def main() -> None:
    """Write the list."""
    found = portfolio([Table(TABLE, source) for source in SOURCES])
    content = {
        "made": "python -m benchmarks.portfolio",
        "of": list(SOURCES),
        "entries": [rounded(one) for one in found],
    }
    FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
