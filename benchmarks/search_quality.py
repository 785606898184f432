"""Tells how good the search is: how soon it finds what random search finds, and what it misses.

Every sampler with the default pruner and every pruner with the default sampler searches the table
of `curves`, as `replay` says, for the time that random search without a pruner needs for its
trials. Samplers that learn begin with a portfolio, as in jobs; here with one made of other pictures
alone (`portfolio`); TPE also does without. What the driver costs is left out, which `overhead`
tells. Grid search is not among them, since it would choose from other learning rates than the rest,
and of Optuna's pruners neither the percentile's, which is the median's with another share, nor
those that ask for more than one value a trial. What the default is (its first rung, its trials
before TPE, the portfolio's size) was chosen on the two data sets of pictures, too, in other
repetitions; nothing was on the series, which have the portfolio of both and are those of the
archive's test part, the larger one. In short form there is none of `gp`, which computes longest; in
full it has the first fifth of the others' repetitions, and is held against those of the default and
of random search.

Every configuration was trained several times. The search sees one training, of which it takes the
best; what that configuration is worth by the others is what the search has. Its own are few, so
that those of configurations like it count, too (`surrogate`). "Times sooner" is from when on it
has, on average over the repetitions, at least what random search has at the end; a search that has
less at its own end never does. How much sooner the default is depends on how long random search
has, so that this is told for several times; the table's decides.

How sure that is tell repetitions that are drawn again, and with them what configurations are worth,
as the trainings leave it open. Where a search differs from the default by more than that, it is
told in what. All trainings are judged by the same validation sequences; what others would say is
not in it.
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Answer, answer, goal, over_processors, parser
from benchmarks.curves import DOCUMENTS, TABLE
from benchmarks.portfolio import elsewhere
from benchmarks.replay import Found, Table, document, play
from search.study.portfolio import fitted

Search = tuple[str, str]
"""A sampler, "portfolio, " before it where it begins with one, and a pruner."""

DEFAULT: Search = ("portfolio, tpe", "successive-halving")
RANDOM: Search = ("random", "none")
SEARCHES: tuple[Search, ...] = (
    DEFAULT,
    *((DEFAULT[0], p) for p in ("{min_resource: 1}", "hyperband", "median", "patient", "none")),
    *((f"portfolio, {sampler}", DEFAULT[1]) for sampler in ("gp", "cma-es", "nsga-ii")),
    *((sampler, DEFAULT[1]) for sampler in ("tpe", "random", "qmc")),
    ("tpe", "none"),
    RANDOM,
)

FIRST_SEED = 2000
"""Of the repetitions; by those of smaller ones the default was found."""

TRIALS = 60
"""Trials of random search, whose time all others have."""

LENGTHS = (30, TRIALS, 120)
"""Trials of random search in whose time the default is compared with it, too. Each twice the one
before, so that no rounding moves an epoch across the end."""

MOMENTS = 1000
"""Into how many moments the time of a search is divided."""

DRAWS = 2000
"""How often repetitions, and what configurations are worth, are drawn again."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made there

CHANCE = 0.01
"""A difference counts where what is drawn again has none less often than this."""

Repeated = dict[Search, list[Found]]
"""What each search found, one entry a seed."""

table = cache(Table)
"""The table of a file's data set, kept for the next search."""


def begin() -> None:
    """Prepare a process that plays beside others."""
    warnings.filterwarnings("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, with which `gp` computes
    if MEMORY.is_dir():  # nobody wants to keep these studies
        tempfile.tempdir = str(MEMORY)


def training(repetition: int, trainings: int) -> int:
    """Return which training a repetition sees: they take turns, with either cell of `cma-es`."""
    return repetition // 2 % trainings


def one(path: Path, source: str, search: Search, repetition: int) -> Found:
    """Play one search."""
    sampler, pruner = search
    known = table(path, source, training(repetition, table(path, source, 0).times))
    seed = FIRST_SEED + repetition
    spec = document(source, sampler.split()[-1], pruner, seed=seed, trials=TRIALS)
    first = [fitted(spec, one) for one in elsewhere(source, path)] if "," in sampler else []
    return play(known, spec, known.seconds(played_for(search)), first)


def played_for(search: Search) -> int:
    """Return how many trials of random search take as long as a search is played for."""
    return max(LENGTHS) if search in {DEFAULT, RANDOM} else TRIALS


def within(found: Repeated, trials: int) -> Repeated:
    """Return what searches found in the time of some trials of random search."""
    parts = {search: trials / played_for(search) for search in found}
    return {
        search: [[(at / part, value) for at, value in one if at <= part] for one in found[search]]
        for search, part in parts.items()
    }


def everything(path: Path, searches: Sequence[Search], seeds: int) -> dict[str, Repeated]:
    """Play searches of all data sets, over all processors."""
    work = {
        (source, search, seed): partial(one, path, source, search, seed)
        for source, search in product(DOCUMENTS, searches)
        for seed in range(repetitions(search, seeds))
    }
    found = dict(over_processors("playing", work, begin))
    return {
        source: {
            search: [found[source, search, n] for n in range(repetitions(search, seeds))]
            for search in searches
        }
        for source in DOCUMENTS
    }


def repetitions(search: Search, seeds: int) -> int:
    """Return how often a search is played: `gp` computes as long as all others together."""
    return max(1, seeds // 5) if "gp" in search[0] else seeds


class Yardstick:
    """Random search on one data set, by which all others are judged.

    Args:
        found: what each search found, all of them as often.
        tables: of the data set, one for each training that searches may see.
    """

    def __init__(self, found: Repeated, tables: Sequence[Table]) -> None:
        number = len(found[RANDOM])
        random = np.random.default_rng(0)
        chance = random.standard_normal((DRAWS, len(tables[0].curves)))
        # The same chance for all: what they leave out differs little.
        drawn = [[one.worth, *one.surrogate.drawn(one.points, chance)] for one in tables]
        worth = np.pad(np.array(drawn), ((0, 0), (0, 0), (0, 1)))  # 0 for no configuration
        repeated = [np.arange(number), *random.integers(number, size=(DRAWS, number))]
        seen = np.array([training(seed, len(tables)) for seed in range(number)])
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
        """Return what a search has at the end, as it was, then of what is drawn again."""
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

    def sooner(self, search: Search) -> str:
        """Return how many times sooner than random search that was, and how sure that is."""
        ratio, *drawn = self.ratios(search)
        low, high = np.quantile(drawn, (0.025, 0.975))
        never = self.ends(search)[0] < self.ends(RANDOM)[0]
        told = "never" if never else f"{ratio:.2f}"
        return f"{told} ({low:.2f} to {high:.2f})"

    def against_default(self, search: Search) -> list[str]:
        """Return in what a search differs from the default by more than chance."""
        words = [
            compare(np.log(self.ratios(search, DEFAULT)[1:]), "sooner", "later"),
            compare((self.ends(search) - self.ends(DEFAULT))[1:], "better", "worse"),
        ]
        return [word for word in words if word]

    def row(self, source: str, search: Search) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            source,
            " + ".join(search),
            self.sooner(search),
            f"{100 * self.ends(search)[0]:.2f}",
            ", ".join(self.against_default(search)),
        )


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


def measure(options: argparse.Namespace) -> Answer:
    """Play, and compare all searches with random search and with the default."""
    warnings.filterwarnings("ignore")
    seeds = options.seeds or (50 if options.short else 100)
    searches = [one for one in SEARCHES if "gp" not in one[0] or not options.short]
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for source, found in everything(options.table, searches, seeds).items():
        known, whole = table(options.table, source, 0), within(found, TRIALS)
        every = [table(options.table, source, at) for at in range(known.times)]
        # Who was played less often is judged by as many of the others' repetitions.
        judges = {
            n: Yardstick({one: its[:n] for one, its in whole.items() if len(its) >= n}, every)
            for n in {len(its) for its in whole.values()}
        }
        judged = {search: judges[len(whole[search])] for search in searches}
        judge = judged[DEFAULT]
        rows += [judged[search].row(source, search) for search in searches]
        worth, others = np.mean([each.off() for each in every], axis=0)
        remarks.append(
            f"{source}: {len(known.curves)} configurations; neighbours correlate by "
            f"{known.likeness():.2f}, one training and the others by {known.steadiness():.2f}. "
            f"{known.seconds(TRIALS):.0f} s hold {TRIALS} trials of random search, which on "
            f"average has {100 * judge.ends(RANDOM)[0]:.2f} from {judge.times(RANDOM)[0]:.0%} of "
            "its time on. Of the better half, the accuracy after each epoch correlates with the "
            f"best by {', '.join(f'{one:.2f}' for one in known.early())}. Of the best third, a "
            f"training left out differs by {100 * worth:.2f} points from what its configuration is "
            f"worth, by {100 * others:.2f} from the mean of its others."
        )
        both = {search: found[search] for search in (DEFAULT, RANDOM)}
        told = [f"{Yardstick(within(both, n), every).sooner(DEFAULT)} with {n}" for n in LENGTHS]
        remarks.append(
            f"{source}: how many times sooner the default has what random search ends with, by the "
            f"trials that the latter has time for: {', '.join(told)}."
        )
        remarks += [
            goal(
                f"{source}, three times sooner than random search",
                reached=bool(judge.ratios(DEFAULT)[0] >= 3),
            ),
            goal(
                f"{source}, nothing ends better than the default",
                reached=all("better" not in judged[one].against_default(one) for one in searches),
            ),
        ]
    columns = (
        "data",
        "search",
        "times sooner (95 %)",
        "accuracy at the end, percent",
        "than the default",
    )
    return Answer(columns, rows, remarks)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--table", type=Path, default=TABLE, help="the file of `curves`")
    options.add_argument("--seeds", type=int, help="repetitions of each search")
    answer(options.parse_args(), measure)
