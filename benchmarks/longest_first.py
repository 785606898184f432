"""Tells what it gains that the longest of the last trials, and of the confirmation's, begin first.

Jobs on the table of `curves` are played as `replay` says, each twice with the very same trials: in
the order in which they were drawn, or the finalists found, and in ours. Neither knows what trials
take here: ours goes by what the parts of an epoch took on the machine that was measured.
"""

import argparse
import statistics
import warnings
from itertools import product

from benchmarks.bench import Answer, answer, parser
from benchmarks.curves import DOCUMENTS, TABLE
from benchmarks.replay import Dealt, Table, document, played
from search.document.sections import Confirm
from search.document.spec import JobSpec
from search.study.champion import finalists, replicates
from search.study.study import JobStudy

TRIALS = 32

WORKERS = (2, 4, 8, 16)


def seconds(study: JobStudy, table: Table, workers: int, *, ordered: bool) -> float:
    """Play a stage to its end and return how long it takes."""
    study.slots = workers if ordered else 1  # with one at once there is no order to choose
    return max(Dealt(study, table, workers).ends())


def gains(table: Table, spec: JobSpec, workers: int) -> tuple[float, float]:
    """Return what share of its time the search spares, and what the confirmation does."""
    with played(spec) as study:
        search = study(fixed=[], trials=TRIALS, searching=True)
        drawn = seconds(search, table, workers, ordered=False)
        trials = search.storage.optuna.get_all_trials(search.study_id)
        ours = replicates(trials, spec)
        ranks = [trial.number for trial in finalists(trials, spec)]
        ranked = sorted(ours, key=lambda one: ranks.index(one.attrs["of"]))
        found, longest = (
            seconds(
                study(f"/{name}", fixed=again, trials=len(again), searching=False),
                table,
                workers,
                ordered=False,
            )
            for name, again in (("ranked", ranked), ("ours", ours))
        )
    with played(spec) as study:
        search = study(fixed=[], trials=TRIALS, searching=True)
        ordered = seconds(search, table, workers, ordered=True)
    return 1 - ordered / drawn, 1 - longest / found


def row(source: str, workers: int, seeds: int) -> tuple[str, ...]:
    """Play jobs of one kind and return their row."""
    table = Table(TABLE, source)
    spared: list[tuple[float, float]] = []
    for seed in range(seeds):
        spec = document(source, "random", "successive-halving", seed=seed, trials=TRIALS)
        spared.append(gains(table, spec.model_copy(update={"confirm": Confirm()}), workers))
    # A difference of nothing has no sign.
    stages = ([round(100 * gain, 1) + 0.0 for gain in stage] for stage in zip(*spared, strict=True))
    shown = (f"{statistics.median(s):.1f} ({min(s):.1f} to {max(s):.1f})" for s in stages)
    return source, str(workers), *shown


def measure(options: argparse.Namespace) -> Answer:
    """Play jobs on several numbers of workers."""
    warnings.filterwarnings("ignore")
    seeds = 4 if options.short else options.seeds
    remark = f"{seeds} jobs each, of {TRIALS} trials: percent of the stage's time that are spared."
    rows = [row(source, workers, seeds) for source, workers in product(DOCUMENTS, WORKERS)]
    return Answer(("data", "workers", "search", "confirmation"), rows, [remark])


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=12, help="repetitions of each job")
    answer(options.parse_args(), measure)
