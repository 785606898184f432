"""Tells how well the time left is known, beside the rule of progress bars.

Jobs on the table of `curves` are played as `replay` says: a search at random, whose trials are
dealt from the table, then the confirmation of its best. Whenever a trial ends, the time left that a
person would be shown is compared with what was left indeed. The rule of progress bars takes all
trials for alike: as long as the time so far, times trials to come, by trials done, a running one
counting for the epochs that it has.
"""

import argparse
import statistics
import warnings
from collections.abc import Iterator
from itertools import product

from benchmarks.bench import Answer, answer, parser
from benchmarks.curves import DOCUMENTS, TABLE, dataset
from benchmarks.replay import WORKERS, Dealt, Table, document, played
from search.common.trial import Verdict
from search.document.sections import Confirm
from search.document.spec import JobSpec
from search.study.champion import replicates
from search.study.cost import Cost, Sizes
from search.study.forecast import Forecast
from search.study.study import JobStudy

TRIALS = 30

PRUNERS = ("successive-halving", "none")

Errors = tuple[float, float]
"""Of the progress bar and of the forecast, in parts of the whole time."""


class Watched(Dealt):
    """A study that is played to its end, and what is shown meanwhile."""

    def __init__(self, study: JobStudy, table: Table, cost: Cost) -> None:
        super().__init__(study, table)
        self.forecast = Forecast(study, cost, lambda: self.now, lambda: self.now)
        self.forecast.slots = self.workers

    def watch(self) -> Iterator[tuple[float, float, float]]:
        """Yield, after each trial but the last, the time and what bar and forecast say is left."""
        for now in self.ends():
            if left := self.forecast.left():
                yield now, self.bar(), left

    def report(self, number: int, epoch: int) -> Verdict:
        """Report an epoch as its worker would, to the forecast, too."""
        live, took = self.study.live[number], self.curve(number).seconds[epoch - 1]
        verdict = super().report(number, epoch)
        self.forecast.reported(live, {"epoch_s": took}, verdict)
        return verdict

    def begin(self) -> None:
        """Let a worker begin the next trial, if there is one."""
        count = self.study.count
        super().begin()
        if self.study.count > count:
            self.forecast.asked(self.study.live[count])

    def bar(self) -> float:
        """Return the time left as a progress bar has it."""
        running = (live.acknowledged / live.config.epochs for live in self.study.live.values())
        done = len(self.study.ended) + sum(running)
        return self.now * (self.study.trials - done) / done

    def errors(self) -> list[Errors]:
        """Return how far off both were, each time."""
        shown = list(self.watch())
        true = [self.now - now for now, _, _ in shown]
        return [
            (abs(bar - left) / self.now, abs(forecast - left) / self.now)
            for (_, bar, forecast), left in zip(shown, true, strict=True)
        ]


def play(table: Table, spec: JobSpec, sizes: Sizes) -> tuple[list[Errors], list[Errors]]:
    """Play a job; return the errors in its search and in its confirmation."""
    cost = Cost(sizes)
    with played(spec) as study:
        search = study(fixed=[], trials=TRIALS, searching=True)
        searching = Watched(search, table, cost).errors()
        again = replicates(search.storage.optuna.get_all_trials(search.study_id), spec)
        confirmation = study("/confirm", fixed=again, trials=len(again), searching=False)
        return searching, Watched(confirmation, table, cost).errors()


def row(source: str, pruner: str, seeds: int) -> tuple[str, ...]:
    """Play jobs of one kind and return their row."""
    table, sizes = Table(TABLE, source), Sizes.of(dataset(source))
    stages: tuple[list[Errors], list[Errors]] = ([], [])
    for seed in range(seeds):
        spec = document(source, "random", pruner, seed=seed, trials=TRIALS)
        spec = spec.model_copy(update={"confirm": Confirm()})
        for stage, errors in zip(stages, play(table, spec, sizes), strict=True):
            stage.extend(errors)
    means = [100 * statistics.fmean(who) for stage in stages for who in zip(*stage, strict=True)]
    return source, pruner, *(f"{mean:.0f}" for mean in means)


def measure(options: argparse.Namespace) -> Answer:
    """Play jobs with and without a pruner on each data set."""
    warnings.filterwarnings("ignore")
    seeds = 4 if options.short else options.seeds
    stages = ("searching", "confirming")
    columns = ("data", "pruner", *(f"{s}: {w}" for s in stages for w in ("bar", "forecast")))
    rows = [row(source, pruner, seeds) for source, pruner in product(DOCUMENTS, PRUNERS)]
    remark = (
        f"{seeds} jobs each, of {TRIALS} trials on {WORKERS} workers: mean errors, in percent of "
        "the stage's whole time."
    )
    return Answer(columns, rows, [remark])


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=12, help="repetitions of each search")
    answer(options.parse_args(), measure)
