"""Tells how good the search is: how soon it finds what random search finds, and what it misses.

Every sampler with the default pruner and every pruner with the default sampler searches the table
of `curves`, as `replay` says, for the time that random search without a pruner needs for its
trials. The default begins with a portfolio, as jobs do; here with one made of the other data set
alone (`portfolio`). What the driver costs is left out, which `overhead` tells. Grid search is not
among them, since it would choose from other learning rates than the rest. In short form there is
none of `gp`, which takes most of the time.
"""

import argparse
import os
import statistics
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

from benchmarks.bench import Answer, answer, parser, spread
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


def one(path: Path, source: str, search: tuple[str, str], seed: int) -> Found:
    """Play one search."""
    known, (sampler, pruner) = table(path, source), search
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
            for source, search, seed in product(DOCUMENTS, searches, range(seeds))
        }
        ended, console = as_completed(playing.values()), Console(stderr=True)
        for _ in track(ended, "playing", len(playing), console=console):
            pass
    return {
        source: {s: [playing[source, s, n].result() for n in range(seeds)] for s in searches}
        for source in DOCUMENTS
    }


class Yardstick:
    """Random search on one data set, by which all others are judged.

    Args:
        known: the table.
        found: what each search found.
    """

    def __init__(self, known: Table, found: Repeated) -> None:
        self.found = found
        self.best = known.best
        self.budget_s = known.seconds(TRIALS)
        self.target = statistics.median_low(self.ends(RANDOM))

    def ends(self, search: tuple[str, str]) -> list[float]:
        """Return the best value of each repetition; 0 where no trial ended in time."""
        return [one[-1][1] if one else 0.0 for one in self.found[search]]

    def regrets(self, search: tuple[str, str]) -> NDArray[np.float64]:
        """Return how far below the table's best each repetition ended."""
        return self.best - np.array(self.ends(search))

    def reached(self, search: tuple[str, str]) -> int:
        """Return how many repetitions reached what random search does."""
        return sum(end >= self.target for end in self.ends(search))

    def times(self, search: tuple[str, str]) -> NDArray[np.float64]:
        """Return when each repetition reached that; where one did not, its end counts."""
        return np.array(
            [
                min((time for time, value in one if value >= self.target), default=self.budget_s)
                for one in self.found[search]
            ]
        )

    def sooner(self, search: tuple[str, str]) -> str:
        """Return how many times sooner than random search that was, in the median.

        With the interval that holds 95 % of such ratios when the seeds are drawn again.
        """
        theirs, ours = self.times(RANDOM), self.times(search)
        drawn = np.random.default_rng(0).integers(len(ours), size=(2000, len(ours)))
        ratios = np.median(theirs[drawn], axis=1) / np.median(ours[drawn], axis=1)
        low, high = np.quantile(ratios, (0.025, 0.975))
        return f"{np.median(theirs) / np.median(ours):.2f} ({low:.2f} to {high:.2f})"

    def against_default(self, search: tuple[str, str]) -> str:
        """Return in what a search differs from the default by more than chance."""
        words = [
            compare(self.times(search), self.times(DEFAULT), "sooner", "later"),
            compare(self.regrets(search), self.regrets(DEFAULT), "better", "worse"),
        ]
        return ", ".join(word for word in words if word)

    def row(self, source: str, search: tuple[str, str]) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            source,
            " + ".join(search),
            self.sooner(search),
            f"{self.reached(search)} of {len(self.found[search])}",
            spread([100 * float(regret) for regret in self.regrets(search)]),
            self.against_default(search),
        )


def compare(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], less: str, more: str
) -> str | None:
    """Return the word for how paired values differ, by Wilcoxon's test; None for no difference."""
    from scipy.stats import wilcoxon

    apart = ours - theirs
    if not apart.any() or wilcoxon(apart).pvalue >= CHANCE:
        return None
    return less if np.mean(np.sign(apart)) < 0 else more


def measure(options: argparse.Namespace) -> Answer:
    """Play, and compare all searches with random search and with the default."""
    warnings.filterwarnings("ignore")
    searches = [one for one in SEARCHES if one[0] != "gp" or not options.short]
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for source, found in everything(options.table, searches, options.seeds).items():
        known = table(options.table, source)
        judge = Yardstick(known, found)
        rows += [judge.row(source, search) for search in searches]
        remarks.append(
            f"{source}: {len(known.curves)} curves, the best {known.best:.4f}; neighbours "
            f"correlate by {known.likeness():.2f}. {judge.budget_s:.0f} s hold {TRIALS} trials of "
            f"random search, which reaches {judge.target:.4f} after "
            f"{np.median(judge.times(RANDOM)):.0f} s. Of the better half, the accuracy after each "
            f"epoch correlates with the best by {', '.join(f'{one:.2f}' for one in known.early())}."
        )
    columns = (
        "data",
        "search",
        "times sooner (95 %)",
        "reached",
        "regret at the end, percent",
        "than the default",
    )
    return Answer(columns, rows, remarks)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--table", type=Path, default=TABLE, help="the file of `curves`")
    options.add_argument("--seeds", type=int, default=20, help="repetitions of each search")
    answer(options.parse_args(), measure)
