"""Tells how good the search is: how soon it finds what random search finds, and what it misses.

Every sampler with the default pruner and every pruner with the default sampler searches the table
of `curves`, as `replay` says, for the time that random search without a pruner needs for its
trials. The default begins with a portfolio, as jobs do; here with one made of the other data set
alone (`portfolio`). What the driver costs is left out, which `overhead` tells. Grid search is not
among them, since it would choose from other learning rates than the rest. In short form there is
none of `gp`, which computes longest; in full it has the first fifth of the others' repetitions, and
is held against those of random search.

Every configuration was trained several times. The search sees one training, of which it takes the
best; what that configuration is worth by the others is what the search has. Its own are few, so
that those of configurations like it count, too (`surrogate`); how far off a training held out
either is, is told. "Times sooner" is from
when on it has, on average over the repetitions, at least what random search has at the end; a
search that has less at its own end never does. How much sooner the default is depends on how long
random search has, so that this is told for several times; the table's decides. Where a search
differs from the default by more than the chance of the repetitions, it is told in what; that other
trainings would give another table is not in it.
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks.bench import Answer, answer, goal, parser
from benchmarks.curves import DOCUMENTS, TABLE
from benchmarks.portfolio import portfolio
from benchmarks.replay import Found, Table, document, play
from search.portfolio import fitted
from trainables.config import Parameters

DEFAULT = ("portfolio, tpe", "successive-halving")
RANDOM = ("random", "none")
SEARCHES = (
    DEFAULT,
    *((DEFAULT[0], pruner) for pruner in ("hyperband", "median", "patient", "none")),
    *((sampler, DEFAULT[1]) for sampler in ("tpe", "gp", "cma-es", "random", "qmc", "nsga-ii")),
    ("tpe", "{min_resource: 1}"),
    ("tpe", "none"),
    RANDOM,
)

TRIALS = 60
"""Trials of random search, whose time all others have."""

LENGTHS = (30, TRIALS, 120)
"""Trials of random search in whose time the default is compared with it, too. Each twice the one
before, so that no rounding moves an epoch across the end."""

MOMENTS = 2000
"""Into how many moments the time of a search is divided."""

DRAWS = 2000
"""How often repetitions are drawn again."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made there

CHANCE = 0.01
"""A difference counts where repetitions drawn again have none less often than this."""

Repeated = dict[tuple[str, str], list[Found]]
"""What each search found, one entry a seed."""

table = cache(Table)
"""The table of a file's data set, kept for the next search."""


def begin() -> None:
    """Prepare a process that plays beside others."""
    warnings.filterwarnings("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, with which `gp` computes
    if MEMORY.is_dir():  # nobody wants to keep these studies
        tempfile.tempdir = str(MEMORY)


def one(path: Path, source: str, search: tuple[str, str], seed: int) -> Found:
    """Play one search; the trainings take turns, with either cell of `cma-es`."""
    sampler, pruner = search
    known = table(path, source, seed // 2 % table(path, source, 0).times)
    spec = document(source, sampler.split()[-1], pruner, seed=seed, trials=TRIALS)
    first = [fitted(spec, one) for one in elsewhere(path, source)] if "," in sampler else []
    return play(known, spec, known.seconds(played_for(search)), first)


def played_for(search: tuple[str, str]) -> int:
    """Return how many trials of random search take as long as a search is played for."""
    return max(LENGTHS) if search in {DEFAULT, RANDOM} else TRIALS


def within(found: Repeated, trials: int) -> Repeated:
    """Return what searches found in the time of some trials of random search."""
    parts = {search: trials / played_for(search) for search in found}
    return {
        search: [[(at / part, value) for at, value in one if at <= part] for one in found[search]]
        for search, part in parts.items()
    }


@cache
def elsewhere(path: Path, source: str) -> list[Parameters]:
    """Return the portfolio of all data sets but one."""
    return portfolio([table(path, other, 0) for other in DOCUMENTS if other != source])


def everything(path: Path, searches: Sequence[tuple[str, str]], seeds: int) -> dict[str, Repeated]:
    """Play searches of all data sets, over all processors."""
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=begin
    ) as pool:
        playing = {
            (source, search, seed): pool.submit(one, path, source, search, seed)
            for source, search in product(DOCUMENTS, searches)
            for seed in range(repetitions(search, seeds))
        }
        ended, console = as_completed(playing.values()), Console(stderr=True)
        for _ in track(ended, "playing", len(playing), console=console):
            pass
    return {
        source: {
            search: [playing[source, search, n].result() for n in range(repetitions(search, seeds))]
            for search in searches
        }
        for source in DOCUMENTS
    }


def repetitions(search: tuple[str, str], seeds: int) -> int:
    """Return how often a search is played: `gp` computes as long as all others together."""
    return max(1, seeds // 5) if search[0] == "gp" else seeds


class Yardstick:
    """Random search on one data set, by which all others are judged.

    Args:
        found: what each search found.
    """

    def __init__(self, found: Repeated) -> None:
        self.worth = {
            search: np.array([held(one, np.linspace(0, 1, MOMENTS)) for one in repeated])
            for search, repeated in found.items()
        }
        """What each repetition of a search has at each moment."""

    def times(self, search: tuple[str, str], drawn: NDArray[np.int_]) -> NDArray[np.float64]:
        """Return from when on a search has, on average, what random search has at the end.

        In parts of its time; where it has less at its own end, that counts.

        Args:
            search: whose.
            drawn: the repetitions that count; one row for each answer.
        """
        target = self.worth[RANDOM][drawn, -1].sum(axis=1, keepdims=True)
        worth = self.worth[search]
        often = np.array([np.bincount(row, minlength=len(worth)) for row in drawn])
        there = often @ worth >= target - 1e-9  # as equal sums may differ
        there[:, -1] = True
        since = MOMENTS - np.logical_not(there)[:, ::-1].argmax(axis=1)
        times: NDArray[np.float64] = since / (MOMENTS - 1)
        return times

    def sooner(self, search: tuple[str, str]) -> str:
        """Return how many times sooner than random search that was.

        With the interval that holds 95 % of such ratios when the repetitions are drawn again.
        """
        low, high = np.quantile(self.ratios(RANDOM, search), (0.025, 0.975))
        never = self.ends(search).mean() < self.ends(RANDOM)[: len(self.worth[search])].mean()
        told = "never" if never else f"{self.ratio(search):.2f}"
        return f"{told} ({low:.2f} to {high:.2f})"

    def ratio(self, search: tuple[str, str]) -> float:
        """Return how many times sooner than random search it was, over all its repetitions."""
        every = np.arange(len(self.worth[search]))[None]
        return float((self.times(RANDOM, every) / self.times(search, every))[0])

    def ends(self, search: tuple[str, str]) -> NDArray[np.float64]:
        """Return what each repetition of a search has at the end."""
        return self.worth[search][:, -1]

    def ratios(self, one: tuple[str, str], other: tuple[str, str]) -> NDArray[np.float64]:
        """Return how many times sooner than one search the other is, of repetitions drawn again."""
        drawn = self.drawn(one, other)
        return self.times(one, drawn) / self.times(other, drawn)

    def drawn(self, *searches: tuple[str, str]) -> NDArray[np.int_]:
        """Return repetitions that some searches share, drawn again [draws, repetitions]."""
        number = min(len(self.worth[search]) for search in searches)
        return np.random.default_rng(0).integers(number, size=(DRAWS, number))

    def against_default(self, search: tuple[str, str]) -> str:
        """Return in what a search differs from the default by more than chance."""
        drawn = self.drawn(search, DEFAULT)
        ours, theirs = (self.ends(which)[drawn].mean(axis=1) for which in (search, DEFAULT))
        words = [
            compare(np.log(self.ratios(DEFAULT, search)), "sooner", "later"),
            compare(ours - theirs, "better", "worse"),
        ]
        return ", ".join(word for word in words if word)

    def row(self, source: str, search: tuple[str, str]) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            source,
            " + ".join(search),
            self.sooner(search),
            f"{100 * self.ends(search).mean():.2f}",
            self.against_default(search),
        )


def held(found: Found, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a search has at each moment; 0 before a trial has ended."""
    times, values = zip((-1.0, 0.0), *found, strict=True)
    places = np.searchsorted(times, moments, side="right") - 1
    return np.array([values[place] for place in places])


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
    searches = [one for one in SEARCHES if one[0] != "gp" or not options.short]
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for source, found in everything(options.table, searches, seeds).items():
        known, judge = table(options.table, source, 0), Yardstick(within(found, TRIALS))
        judged = [judge.row(source, search) for search in searches]
        rows += judged
        tables = [table(options.table, source, at) for at in range(known.times)]
        worth, others = np.mean([each.off() for each in tables], axis=0)
        since = judge.times(RANDOM, np.arange(seeds)[None])[0]
        remarks.append(
            f"{source}: {len(known.curves)} configurations; neighbours correlate by "
            f"{known.likeness():.2f}, one training and the others by {known.steadiness():.2f}. "
            f"{known.seconds(TRIALS):.0f} s hold {TRIALS} trials of random search, which on "
            f"average has {100 * judge.ends(RANDOM).mean():.2f} from {since:.0%} of its time on. "
            "Of the better half, the accuracy after each epoch correlates with the best by "
            f"{', '.join(f'{one:.2f}' for one in known.early())}. What one is worth is off a "
            f"training held out by {100 * worth:.2f} percent, the mean of its others by "
            f"{100 * others:.2f}."
        )
        both = {search: found[search] for search in (DEFAULT, RANDOM)}
        told = [f"{Yardstick(within(both, n)).sooner(DEFAULT)} with {n}" for n in LENGTHS]
        remarks.append(
            f"{source}: how many times sooner the default has what random search ends with, by the "
            f"trials that the latter has time for: {', '.join(told)}."
        )
        best = all("better" not in row[-1] for row in judged)
        remarks += [
            goal(
                f"{source}, three times sooner than random search",
                reached=judge.ratio(DEFAULT) >= 3,
            ),
            goal(f"{source}, nothing ends better than the default", reached=best),
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
