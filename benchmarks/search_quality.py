"""Tells how good the search is: how soon it finds what random search finds, and what it misses.

Every sampler with the default pruner and every pruner with the default sampler searches the table
of `curves`, as `replay` says, for the time that random search without a pruner needs for its
trials. The default begins with a portfolio, as jobs do; here with one made of the other data set
alone (`portfolio`). What the driver costs is left out, which `overhead` tells. Grid search is not
among them, since it would choose from other learning rates than the rest. In short form there is
none of `gp`, which computes longest; in full it has a fifth of the others' repetitions.

Every configuration was trained twice. The search sees one training, of which it takes the best;
that configuration's accuracy in the other is what the search has. "Times sooner" is when it has, on
average over the repetitions, what random search has at the end. Where a search differs from the
default by more than chance, it is told in what.
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
from scipy.stats import wilcoxon

from benchmarks.bench import Answer, answer, parser
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

MOMENTS = 2000
"""Into how many moments the time of a search is divided."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made there

CHANCE = 0.01
"""A difference counts where chance alone makes one as large less often than this."""

Repeated = dict[tuple[str, str], list[Found]]
"""What each search found, one entry a seed."""

table = cache(Table)
"""The table of a file's data set, read once a process."""


def begin() -> None:
    """Prepare a process that plays beside others."""
    warnings.filterwarnings("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, with which `gp` computes
    if MEMORY.is_dir():  # nobody wants to keep these studies
        tempfile.tempdir = str(MEMORY)


def one(path: Path, source: str, search: tuple[str, str], seed: int) -> Found:
    """Play one search; every other one sees the second training."""
    known, (sampler, pruner) = table(path, source, swapped=seed % 2 == 1), search
    spec = document(source, sampler.split()[-1], pruner, seed=seed, trials=TRIALS)
    first = [fitted(spec, one) for one in elsewhere(path, source)] if "," in sampler else []
    return play(known, spec, known.seconds(TRIALS), first)


@cache
def elsewhere(path: Path, source: str) -> list[Parameters]:
    """Return the portfolio of all data sets but one."""
    return portfolio([table(path, other) for other in DOCUMENTS if other != source])


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
    return seeds // 5 if search[0] == "gp" else seeds


class Yardstick:
    """Random search on one data set, by which all others are judged.

    Args:
        budget_s: the time of every search.
        found: what each search found.
    """

    def __init__(self, budget_s: float, found: Repeated) -> None:
        self.moments = np.linspace(0, budget_s, MOMENTS)
        self.worth = {
            search: np.array([held(one, self.moments) for one in repeated])
            for search, repeated in found.items()
        }
        """What each repetition of a search has at each moment."""

    @property
    def target(self) -> float:
        """What random search has at the end, on average."""
        return float(self.worth[RANDOM][:, -1].mean())

    def times(self, search: tuple[str, str], drawn: NDArray[np.int_]) -> NDArray[np.float64]:
        """Return when a search has, on average, what random search has at the end.

        Where it never has, the end counts.

        Args:
            search: whose.
            drawn: the repetitions that count; one row for each answer.
        """
        target = self.worth[RANDOM][drawn, -1].sum(axis=1, keepdims=True)
        worth = self.worth[search]
        often = np.array([np.bincount(row, minlength=len(worth)) for row in drawn])
        there = often @ worth >= target - 1e-9  # as equal sums may differ
        there[:, -1] = True
        times: NDArray[np.float64] = self.moments[there.argmax(axis=1)]
        return times

    def sooner(self, search: tuple[str, str]) -> str:
        """Return how many times sooner than random search that was.

        With the interval that holds 95 % of such ratios when the repetitions are drawn again.
        """
        ratios = self.ratios(RANDOM, search)
        low, high = np.quantile(ratios, (0.025, 0.975))
        every = np.arange(len(self.worth[search]))[None]
        ratio = float((self.times(RANDOM, every) / self.times(search, every))[0])
        return f"{ratio:.2f} ({low:.2f} to {high:.2f})"

    def ratios(self, one: tuple[str, str], other: tuple[str, str]) -> NDArray[np.float64]:
        """Return how many times sooner than one search the other is, of repetitions drawn again."""
        number = min(len(self.worth[one]), len(self.worth[other]))
        drawn = np.random.default_rng(0).integers(number, size=(2000, number))
        return self.times(one, drawn) / self.times(other, drawn)

    def against_default(self, search: tuple[str, str]) -> str:
        """Return in what a search differs from the default by more than chance."""
        words = []
        low, high = np.quantile(self.ratios(DEFAULT, search), (CHANCE / 2, 1 - CHANCE / 2))
        if low > 1 or high < 1:
            words.append("sooner" if low > 1 else "later")
        ours, theirs = (self.worth[which][:, -1] for which in (search, DEFAULT))
        apart = ours - theirs[: len(ours)]
        if apart.any() and wilcoxon(apart).pvalue < CHANCE:
            words.append("better" if apart.mean() > 0 else "worse")
        return ", ".join(words)

    def row(self, source: str, search: tuple[str, str]) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            source,
            " + ".join(search),
            self.sooner(search),
            f"{100 * self.worth[search][:, -1].mean():.2f}",
            self.against_default(search),
        )


def held(found: Found, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a search has at each moment; 0 before a trial has ended."""
    times, values = zip((-1.0, 0.0), *found, strict=True)
    places = np.searchsorted(times, moments, side="right") - 1
    return np.array([values[place] for place in places])


def measure(options: argparse.Namespace) -> Answer:
    """Play, and compare all searches with random search and with the default."""
    warnings.filterwarnings("ignore")
    seeds = 20 if options.short else options.seeds
    searches = [one for one in SEARCHES if one[0] != "gp" or not options.short]
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for source, found in everything(options.table, searches, seeds).items():
        known = table(options.table, source)
        judge = Yardstick(known.seconds(TRIALS), found)
        rows += [judge.row(source, search) for search in searches]
        ends_s = judge.times(RANDOM, np.arange(seeds)[None])[0]
        remarks.append(
            f"{source}: {len(known.curves)} configurations, the best {100 * max(known.worth):.2f}; "
            f"neighbours correlate by {known.likeness():.2f}, the two trainings by "
            f"{known.steadiness():.2f}. {known.seconds(TRIALS):.0f} s hold {TRIALS} trials of "
            f"random search, which on average has {100 * judge.target:.2f} after {ends_s:.0f} s. "
            "Of the better half, the accuracy after each epoch correlates with the best by "
            f"{', '.join(f'{one:.2f}' for one in known.early())}."
        )
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
    options.add_argument("--seeds", type=int, default=100, help="repetitions of each search")
    answer(options.parse_args(), measure)
