"""Says of searches that were played by `search_quality` how good they are, and how sure that is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gmean

from benchmarks.replay import Found, Table

Search = tuple[str, str]
"""A sampler, "portfolio, " before it where it begins with one, and a pruner."""

DEFAULT: Search = ("portfolio, tpe", "successive-halving")
RANDOM: Search = ("random", "none")

Repeated = dict[Search, list[Found]]
"""What each search found, one entry a seed."""

MOMENTS = 1000
"""Into how many moments the time of a search is divided."""

DRAWS = 2000
"""How often repetitions, and what configurations are worth, are drawn again."""

CHANCE = 0.01
"""A difference counts where what is drawn again has none less often than this. Not 0.05, since the
default is compared with a dozen."""


def training(repetition: int, trainings: int) -> int:
    """Return which training a repetition sees: they take turns, with either cell of `cma-es`."""
    return repetition // 2 % trainings


class Judge(ABC):
    """Says how good searches are: as they were, and of what is drawn again [1 + draws]."""

    @abstractmethod
    def ends(self, search: Search) -> NDArray[np.float64]:
        """Return what a search has at the end."""

    @abstractmethod
    def ratios(self, search: Search, other: Search = RANDOM) -> NDArray[np.float64]:
        """Return how many times sooner than another a search was."""

    @abstractmethod
    def never(self, search: Search) -> bool:
        """Return whether a search never had what random search ends with."""

    def surely(self, search: Search) -> tuple[float, float]:
        """Return between how many times sooner than random search that was, by 95 percent."""
        low, high = np.quantile(self.ratios(search)[1:], (0.025, 0.975))
        return low, high

    def sooner(self, search: Search) -> str:
        """Return how many times sooner than random search that was, and how sure that is."""
        ratio, (low, high) = self.ratios(search)[0], self.surely(search)
        told = "never" if self.never(search) else f"{ratio:.2f}"
        return f"{told} ({low:.2f} to {high:.2f})"

    def against_default(self, search: Search) -> list[str]:
        """Return in what a search differs from the default by more than chance."""
        words = [
            compare(np.log(self.ratios(search, DEFAULT)[1:]), "sooner", "later"),
            compare((self.ends(search) - self.ends(DEFAULT))[1:], "better", "worse"),
        ]
        return [word for word in words if word]

    def lead(self, search: Search) -> float:
        """Return by how much a search ends better than the default."""
        return float(self.ends(search)[0] - self.ends(DEFAULT)[0])

    def ahead(self, search: Search) -> str:
        """Return by how many points that is, and how sure it is."""
        apart = 100 * (self.ends(search) - self.ends(DEFAULT))[1:]
        low, high = np.quantile(apart, (CHANCE / 2, 1 - CHANCE / 2))
        return f"{100 * self.lead(search):+.2f} ({low:+.2f} to {high:+.2f})"

    def row(self, source: str, search: Search) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            source,
            " + ".join(search),
            self.sooner(search),
            f"{100 * self.ends(search)[0]:.2f}",
            ", ".join(self.against_default(search)),
        )


class Yardstick(Judge):
    """Random search on one data set, by which all others are judged.

    Args:
        found: what each search found, all of them as often.
        tables: of the data set, one for each training that searches may see.
        seed: of what is drawn again, another one for each data set.
    """

    def __init__(self, found: Repeated, tables: Sequence[Table], seed: int = 0) -> None:
        number = len(found[RANDOM])
        random = np.random.default_rng(seed)
        chance = random.standard_normal((DRAWS, len(tables[0].curves)))
        # The same chance for all: what they leave out differs little.
        drawn = [[one.worth, *one.surrogate.drawn(one.points, chance)] for one in tables]
        worth = np.pad(np.array(drawn), ((0, 0), (0, 0), (0, 1)))  # 0 for no configuration
        seen = np.array([training(seed, len(tables)) for seed in range(number)])
        repeated = [np.arange(number), *(again(seen, random) for _ in range(DRAWS))]
        moments = np.linspace(0, 1, MOMENTS)
        had = {search: np.array([held(one, moments) for one in found[search]]) for search in found}
        self.worth = {
            search: np.array(
                [
                    worth[seen[row, None], draw, configurations[row]].mean(axis=0)
                    for draw, row in enumerate(repeated)
                ]
            )
            for search, configurations in had.items()
        }
        """What each search has at each moment, on average over its repetitions: as it was, then as
        repetitions and what configurations are worth are drawn again [1 + draws, moments]."""

    def ends(self, search: Search) -> NDArray[np.float64]:
        """Return what a search has at the end."""
        return self.worth[search][:, -1]

    def times(self, search: Search) -> NDArray[np.float64]:
        """Return from when on a search has what random search has at the end.

        In parts of its time; where it has less at its own end, that counts.
        """
        there = self.worth[search] >= self.ends(RANDOM)[:, None] - 1e-9  # as equal sums may differ
        there[:, -1] = True
        since = MOMENTS - np.logical_not(there)[:, ::-1].argmax(axis=1)
        times: NDArray[np.float64] = since / (MOMENTS - 1)
        return times

    def ratios(self, search: Search, other: Search = RANDOM) -> NDArray[np.float64]:
        """Return how many times sooner than another a search was."""
        return self.times(other) / self.times(search)

    def never(self, search: Search) -> bool:
        """Return whether a search ends with less than random search does."""
        return bool(self.ends(search)[0] < self.ends(RANDOM)[0])


class Overall(Judge):
    """All data sets at once: the geometric means of the errors, and of how many times sooner.

    A default is one for all data, so that it is chosen by this.

    Args:
        judges: one for each data set, all of as many repetitions.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        self.judges = judges

    def ends(self, search: Search) -> NDArray[np.float64]:
        """Return what a search has at the end."""
        error: NDArray[np.float64] = gmean([1 - one.ends(search) for one in self.judges])
        return 1 - error

    def ratios(self, search: Search, other: Search = RANDOM) -> NDArray[np.float64]:
        """Return how many times sooner than another a search was."""
        ratio: NDArray[np.float64] = gmean([one.ratios(search, other) for one in self.judges])
        return ratio

    def never(self, search: Search) -> bool:
        """Return whether there are data on which it never had what random search ends with."""
        return any(one.never(search) for one in self.judges)


def again(seen: NDArray[np.int_], random: np.random.Generator) -> NDArray[np.int_]:
    """Draw repetitions again: first which trainings, then of those that saw each of them.

    Repetitions that saw the same training share its luck, so that many of them say little more of
    other trainings than few.

    Args:
        seen: which training each repetition saw.
        random: draws.
    """
    of = [np.flatnonzero(seen == one) for one in np.unique(seen)]
    drawn = (of[place] for place in random.integers(len(of), size=len(of)))
    return np.concatenate([random.choice(rows, size=len(rows)) for rows in drawn])


def held(found: Found, moments: NDArray[np.float64]) -> NDArray[np.int_]:
    """Return which configuration a search has at each moment; -1 before a trial has ended."""
    times, places = zip((-1.0, -1), *found, strict=True)
    return np.array(places)[np.searchsorted(times, moments, side="right") - 1]


def compare(apart: NDArray[np.float64], more: str, less: str) -> str | None:
    """Return the word for how two searches differ, of repetitions drawn again; None for chance."""
    low, high = np.quantile(apart, (CHANCE / 2, 1 - CHANCE / 2))
    if low <= 0 <= high:
        return None
    return more if low > 0 else less
