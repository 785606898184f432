"""What searches begin with is good, cheap, and of several kinds."""

import json
from itertools import combinations

import numpy as np

from benchmarks.curves import TABLE
from benchmarks.portfolio import APART, GOOD, SOURCES, places, portfolio, rounded
from benchmarks.replay import Table
from search.study.cost import typical_s
from search.study.portfolio import FILE


def test_of_the_good_ones_the_cheapest_are_taken_that_are_far_apart() -> None:
    table = Table(TABLE, "digits")
    drawn = [curve.parameters for curve in table.curves]
    good = [one for one, place in zip(drawn, places(table, drawn), strict=True) if place > 1 - GOOD]

    found = portfolio([table])

    assert all(one in good for one in found)
    costs = [typical_s(table.spec.config(one)) for one in found]
    assert costs == sorted(costs)
    assert costs[0] == min(typical_s(table.spec.config(one)) for one in good)
    points = [table.point(table.spec.config(one)) for one in found]
    assert all(np.square(one - other).sum() > APART for one, other in combinations(points, 2))
    left = [table.point(table.spec.config(one)) for one in good]  # near to one that is taken
    assert all(min(np.square(points - one).sum(1)) <= APART for one in left)


def test_the_file_has_what_the_table_says() -> None:
    found = portfolio([Table(TABLE, source) for source in SOURCES])

    assert json.loads(FILE.read_text("utf-8"))["entries"] == [rounded(one) for one in found]
