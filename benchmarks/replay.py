"""Plays a search on the table of `curves`: the study is real, the clock and the training are not.

A configuration that the sampler proposes has the curve of the table's nearest one. Each is a point
whose coordinates range from 0 to 1 over the document's space: cell, hidden size, layers, dropout,
and from 0 to 3 the logarithm of the learning rate, which decides most.

The search sees one training of it; the others, from different seeds, tell what it has found, with
those of its neighbours (`surrogate`). The best of many trainings is a lucky one, and with a single
training the search that runs into its luck would seem the best. When is told in parts of the
search's time.
"""

import heapq
import math
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from benchmarks.curves import DOCUMENTS, Curve, Curves
from benchmarks.surrogate import Surrogate
from search.common.trial import Proposal, Verdict
from search.database.lease import Lease
from search.database.store import Store
from search.document.spec import JobSpec, parse_job
from search.jobs.jobs import create
from search.study.study import JobStudy
from trainables.config import Parameters, TrialConfig

WORKERS = 2

Found = list[tuple[float, int]]
"""When a search had a new best, in parts of its time, and which of the table's curves that is."""


class Table:
    """The curves of one data set, and which of them answers a configuration.

    Args:
        path: the file.
        source: the data set.
        at: the place of the training that searches see; the others tell what they found.
    """

    def __init__(self, path: Path, source: str, at: int = 0) -> None:
        trainings = [curves[source] for curves in Curves.read(path).trainings.values()]
        numbers = [[curve.number for curve in curves] for curves in trainings]
        if len(numbers) < 2 or any(one != numbers[0] for one in numbers):
            raise SystemExit(
                f"{path} is not complete: `python -m benchmarks.curves` goes on with it"
            )
        reached = np.array([[curve.best or 0.0 for curve in curves] for curves in trainings])
        self.times = len(trainings)
        """How often each configuration was trained."""
        self.curves = trainings[at]
        self.seen = reached[at]
        """What each configuration reached in the training that searches see."""
        self.others = np.delete(reached, at, axis=0).mean(0)
        """What each configuration reached in those that no search sees, on average."""
        self.mean = reached.mean(0)
        """What each configuration reached in all of them, on average."""
        self.spec = parse_job(DOCUMENTS[source])
        configs = [self.spec.config(curve.parameters) for curve in self.curves]
        self.points = np.array([self.point(config) for config in configs])

    @cached_property
    def surrogate(self) -> Surrogate:
        """What the trainings that no search sees say."""
        return Surrogate(self.points, self.others)

    @cached_property
    def worth(self) -> NDArray[np.float64]:
        """What each configuration is worth by the trainings that no search sees."""
        return self.surrogate.worth(self.points)

    def point(self, config: TrialConfig) -> NDArray[np.float64]:
        """Return where a configuration lies."""
        return np.array(
            [
                float(config.cell == "gru"),
                self.place("hidden_size", config.hidden_size),
                self.place("layers", config.layers),
                self.place("dropout", config.dropout if config.layers > 1 else 0.0),
                3 * self.place("learning_rate", config.learning_rate, math.log),
            ]
        )

    def place(self, name: str, value: float, scale: Any = float) -> float:
        """Return where a value lies in its range, from 0 to 1."""
        ranged: Any = self.spec.space[name]
        low, high = scale(ranged.low), scale(ranged.high)
        return float((scale(value) - low) / (high - low))

    def nearest(self, config: TrialConfig) -> int:
        """Return which curve answers a configuration."""
        return int(np.square(self.points - self.point(config)).sum(1).argmin())

    def seconds(self, trials: int) -> float:
        """Return how long the workers need to train so many configurations, of average cost."""
        return statistics.fmean(sum(curve.seconds) for curve in self.curves) * trials / WORKERS

    def likeness(self) -> float:
        """Return how alike neighbours are: Spearman's correlation of a curve with its nearest."""
        from scipy.stats import spearmanr

        apart = np.square(self.points[:, None] - self.points).sum(2)
        np.fill_diagonal(apart, np.inf)
        nearest = [self.seen[near] for near in apart.argmin(1)]
        return float(spearmanr(self.seen, nearest).statistic)

    def steadiness(self) -> float:
        """Return how alike one training is to the others: Spearman's correlation."""
        from scipy.stats import spearmanr

        return float(spearmanr(self.seen, self.others).statistic)

    def off(self) -> tuple[float, float]:
        """Return how far off the seen training other trainings are, as standard deviations.

        Of the best third of the configurations: what each is worth, and its own others' mean.
        """
        better = self.others > np.quantile(self.others, 2 / 3)
        worth, others = (
            float(np.sqrt(np.square((one - self.seen)[better]).mean()))
            for one in (self.worth, self.others)
        )
        return worth, others

    def early(self) -> list[float]:
        """Return how well each epoch tells the better half apart: Spearman's correlation."""
        from scipy.stats import spearmanr

        whole = [curve for curve in self.curves if curve.best is not None]
        best = np.array([curve.best for curve in whole])
        better = best > np.median(best)
        epochs = np.array([curve.val_accuracy for curve in whole])[better].T
        return [float(spearmanr(values, best[better]).statistic) for values in epochs]


def document(source: str, sampler: str, pruner: str, *, seed: int, trials: int) -> JobSpec:
    """Return a search, in a space of the form that its sampler can take.

    Without the portfolio, which was made of the same table.
    """
    given = [f"sampler={sampler}", f"pruner={pruner}", f"seed={seed}", f"budget.trials={trials}"]
    given.append("warm_start=none")
    if sampler in {"gp", "cma-es"}:  # dropout is then drawn where it does nothing, too
        given.append("space.dropout.when={}")
    if sampler == "cma-es":  # the cell, which it cannot choose, is each of the two in turn
        given += ["space.cell=null", f"training.cell={('lstm', 'gru')[seed % 2]}"]
    return parse_job(DOCUMENTS[source], given)


@contextmanager
def played(spec: JobSpec) -> Iterator[Callable[..., JobStudy]]:
    """Yield what opens the studies of one job, which lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/gatetune.db")
        job_id = create(store, spec, "", owner="bench")
        with Lease(store, job_id) as lease, ExitStack() as opened:

            def study(stage: str = "", **settings: Any) -> JobStudy:
                made = JobStudy(store, lease, spec, name=f"{job_id}{stage}", **settings)
                opened.callback(made.shut)
                return made

            yield study
        store.close()


def play(table: Table, spec: JobSpec, budget_s: float, first: Sequence[Parameters] = ()) -> Found:
    """Search on the table until the time is spent.

    Args:
        table: what answers.
        spec: the search.
        budget_s: how long the workers have.
        first: configurations that come first.

    Returns:
        The best trials that ran to their end, since only such a trial can win a job.
    """
    with played(spec) as study:
        fixed = [Proposal(parameters, {}) for parameters in first]
        return Play(study(fixed=fixed, trials=10**6, searching=True), table).run(budget_s)


class Play:
    """A study whose trials are taken from a table, on workers with a simulated clock."""

    def __init__(self, study: JobStudy, table: Table, workers: int = WORKERS) -> None:
        self.study = study
        self.table = table
        self.workers = workers
        self.places: dict[int, int] = {}
        """Which of the table's curves each trial has."""
        self.epochs: list[tuple[float, int, int]] = []
        """The epoch that each worker is at, as its end, trial and number; the soonest first."""

    def run(self, budget_s: float) -> Found:
        """Let the workers report, one after the other as the clock has it."""
        found: Found = []
        for _ in range(self.workers):
            self.start(0.0)
        while self.epochs[0][0] <= budget_s:
            now, number, epoch = heapq.heappop(self.epochs)
            if self.report(number, epoch) is Verdict.CONTINUE:
                self.go_on(now, number, epoch + 1)
                continue
            best = self.study.best
            if best is not None and best[0] == number:
                found.append((now / budget_s, self.places[number]))
            self.start(now)
        return found

    def start(self, now: float) -> None:
        """Let a worker begin the next trial."""
        live = self.study.ask()
        assert live is not None
        self.places[live.number] = self.table.nearest(live.config)
        self.go_on(now, live.number, 1)

    def curve(self, number: int) -> Curve:
        """Return the curve of a trial."""
        return self.table.curves[self.places[number]]

    def go_on(self, now: float, number: int, epoch: int) -> None:
        """Let a worker begin an epoch."""
        ends = now + self.curve(number).seconds[epoch - 1]
        heapq.heappush(self.epochs, (ends, number, epoch))

    def report(self, number: int, epoch: int) -> Verdict:
        """Report an epoch as its worker would."""
        curve = self.curve(number)
        self.study.live[number].precision = curve.precision  # which the driver hears with the epoch
        if epoch > len(curve.val_accuracy):
            return self.study.report(number, epoch, {}, "diverged")
        metrics = {
            "val_accuracy": curve.val_accuracy[epoch - 1],
            "val_loss": curve.val_loss[epoch - 1],
            "epoch_s": curve.seconds[epoch - 1],
        }
        last = epoch == self.study.spec.most_epochs
        return self.study.report(number, epoch, metrics, "complete" if last else "running")


class Dealt(Play):
    """A study that is played to its end, its trials dealt from the table.

    Each has the seconds of its very configuration, as what predicts the costs of trials needs it.
    """

    def __init__(self, study: JobStudy, table: Table, workers: int = WORKERS) -> None:
        super().__init__(study, table, workers)
        self.now = 0.0
        deck = random.Random(study.spec.seed)  # noqa: S311 - no secret
        self.deck = deck.sample(table.curves, study.trials)
        study.mirror.draw = self.deal  # type: ignore[method-assign]

    def deal(self, number: int) -> FrozenTrial:
        """Draw from the table."""
        mirror, parameters = self.study.mirror, self.deck[number].parameters
        trial = mirror.frozen(parameters)
        mirror.add(number, trial, mirror.identity(parameters, {}))
        return trial

    def ends(self) -> Iterator[float]:
        """Let the workers train all trials, and yield when each of them ends."""
        for _ in range(self.workers):
            self.begin()
        while self.epochs:
            self.now, number, epoch = heapq.heappop(self.epochs)
            if self.report(number, epoch) is Verdict.CONTINUE:
                self.go_on(self.now, number, epoch + 1)
            else:
                self.begin()
                yield self.now

    def begin(self) -> None:
        """Let a worker begin the next trial, if there is one."""
        if self.study.count < self.study.trials:
            self.start(self.now)
