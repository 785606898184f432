"""Tells how good the search is: how soon it finds what random search finds, and what it misses.

Every sampler with the default pruner and every pruner with the default sampler searches the table
of `curves`, as `replay` says, for the time that random search without a pruner needs for its
trials. Samplers that learn begin with a portfolio, as in jobs; here with one made of other pictures
alone (`portfolio`); TPE also does without. What the driver costs is left out, which `overhead`
tells. Grid search is not among them, since it would choose from other learning rates than the rest,
and of Optuna's pruners neither the percentile's, which is the median's with another share, nor
those that ask for more than one value a trial. What the default is was chosen on the two data sets
of pictures, too, of the same trainings, but in other repetitions; nothing was on the series, which
have the portfolio of both and are those of the archive's test part, the larger one. In short form
there is none of `gp`, which computes longest; in full it has the first fifth of the others'
repetitions, and is held against those of the default and of random search.

Every configuration was trained several times. The search sees one training, of which it takes the
best; what that configuration is worth by the others is what the search has. Its own are few, so
that those of configurations like it count, too (`surrogate`). "Times sooner" is from when on it
has, on average over the repetitions, at least what random search has at the end; a search that has
less at its own end never does. How much sooner the default is depends on how long random search
has, so that this is told for several times; the table's decides.

How sure that is tells what is drawn again: which trainings were seen, then the repetitions that saw
each, and what configurations are worth, as the trainings leave it open. Where 99 percent of it tell
a search from the default, it is told in what; not 95, since a dozen are compared. Drawn again from
so few trainings, such intervals hold the truth less often than they say: what is told may be
chance. All trainings are judged by the same validation sequences; what others would say is not in
it. A default is one for all data: "all" has the geometric means of the errors, and of how many
times sooner.
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

from benchmarks.bench import Answer, answer, goal, over_processors, parser
from benchmarks.curves import DOCUMENTS, TABLE
from benchmarks.judge import DEFAULT, RANDOM, Judge, Overall, Repeated, Search, Yardstick, training
from benchmarks.portfolio import elsewhere
from benchmarks.replay import Found, Table, document, play
from search.study.portfolio import fitted

SEARCHES: tuple[Search, ...] = (
    DEFAULT,
    *((DEFAULT[0], p) for p in ("{min_resource: 1}", "hyperband", "median", "patient", "none")),
    *((f"portfolio, {sampler}", DEFAULT[1]) for sampler in ("gp", "cma-es", "nsga-ii")),
    *((sampler, DEFAULT[1]) for sampler in ("tpe", "random", "qmc")),
    ("tpe", "none"),
    RANDOM,
)

FIRST_SEED = 7000
"""Of the repetitions, in which nothing was chosen."""

TRIALS = 60
"""Trials of random search, whose time all others have."""

LENGTHS = (30, TRIALS, 120)
"""Trials of random search in whose time the default is compared with it, too. Each twice the one
before, so that no rounding moves an epoch across the end."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made there

Everything = dict[str, Repeated]
"""That of each data set."""

Tables = dict[str, list[Table]]
"""Of each data set, one for each training that searches may see."""

ALL = "all"
"""The data sets together."""

table = cache(Table)
"""The table of a file's data set, kept for the next search."""


def begin() -> None:
    """Prepare a process that plays beside others."""
    warnings.filterwarnings("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, with which `gp` computes
    if MEMORY.is_dir():  # nobody wants to keep these studies
        tempfile.tempdir = str(MEMORY)


def times(path: Path, source: str) -> int:
    """Return how often a file's configurations were trained on a data set."""
    return table(path, source, 0).times


def one(path: Path, source: str, search: Search, repetition: int) -> Found:
    """Play one search."""
    sampler, pruner = search
    known = table(path, source, training(repetition, times(path, source)))
    seed = FIRST_SEED + repetition
    spec = document(source, sampler.split()[-1], pruner, seed=seed, trials=TRIALS)
    begun = [fitted(spec, one) for one in elsewhere(source, path)] if "," in sampler else []
    return play(known, spec, known.seconds(played_for(search)), begun)


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


def everything(path: Path, searches: Sequence[Search], seeds: int) -> Everything:
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


def judges(found: Everything, tables: Tables, trials: int) -> dict[str, Judge]:
    """Return who judges searches, in the time of so many trials of random search.

    Of each data set, and of all of them.
    """
    each: dict[str, Judge] = {
        source: Yardstick(within(its, trials), tables[source], seed)
        for seed, (source, its) in enumerate(found.items())
    }
    return {**each, ALL: Overall(list(each.values()))}


def first(found: Everything, number: int) -> Everything:
    """Return the first repetitions of all searches that were played so often."""
    return {
        source: {search: one[:number] for search, one in its.items() if len(one) >= number}
        for source, its in found.items()
    }


def described(tables: Sequence[Table], judge: Yardstick) -> str:
    """Return what a data set's table holds, and how much its trainings say."""
    known = tables[0]
    worth, others = np.mean([each.off() for each in tables], axis=0)
    return (
        f"{len(known.curves)} configurations; neighbours correlate by {known.likeness():.2f}, one "
        f"training and the others by {known.steadiness():.2f}. {known.seconds(TRIALS):.0f} s hold "
        f"{TRIALS} trials of random search, which on average has "
        f"{100 * judge.ends(RANDOM)[0]:.2f} from {judge.times(RANDOM)[0]:.0%} of its time on. Of "
        "the better half, the accuracy after each epoch correlates with the best by "
        f"{', '.join(f'{one:.2f}' for one in known.early())}. Of the best third, a training left "
        f"out differs by {100 * worth:.2f} points from what its configuration is worth, by "
        f"{100 * others:.2f} from the mean of its others."
    )


def measure(options: argparse.Namespace) -> Answer:
    """Play, and compare all searches with random search and with the default."""
    warnings.filterwarnings("ignore")
    seeds = options.seeds or (50 if options.short else 100)
    searches = [one for one in SEARCHES if "gp" not in one[0] or not options.short]
    found = everything(options.table, searches, seeds)
    tables = {
        source: [table(options.table, source, at) for at in range(times(options.table, source))]
        for source in found
    }
    # Who was played less often is judged by as many of the others' repetitions.
    played = {search: repetitions(search, seeds) for search in searches}
    judged = {n: judges(first(found, n), tables, TRIALS) for n in set(played.values())}
    both = {source: {one: its[one] for one in (DEFAULT, RANDOM)} for source, its in found.items()}
    lengths = {n: judges(both, tables, n) for n in LENGTHS}
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for source, judge in judged[seeds].items():
        whose = {search: judged[played[search]][source] for search in searches}
        rows += [one.row(source, search) for search, one in whose.items()]
        if isinstance(judge, Yardstick):
            remarks.append(f"{source}: {described(tables[source], judge)}")
        told = [f"{one[source].sooner(DEFAULT)} with {n}" for n, one in lengths.items()]
        remarks.append(
            f"{source}: how many times sooner the default has what random search ends with, by the "
            f"trials that the latter has time for: {', '.join(told)}."
        )
        low, _ = judge.surely(DEFAULT)
        rivals = (one for one in searches if one != DEFAULT)
        nearest = max(rivals, key=lambda rival: whose[rival].lead(rival))
        remarks += [
            goal(
                f"{source}, three times sooner than random search (with 97.5 percent at "
                f"least {low:.2f} times)",
                reached=bool(judge.ratios(DEFAULT)[0] >= 3),
            ),
            goal(
                f"{source}, nothing is shown to end better than the default (the nearest is "
                f"{' + '.join(nearest)}, by {whose[nearest].ahead(nearest)} points, 99 percent)",
                reached=all("better" not in one.against_default(it) for it, one in whose.items()),
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
