"""Tells how often a winner is promoted that is none, and how often an interval holds the truth.

Whole searches, trained for real, in which nothing can be better: the labels of digits are shuffled,
or every configuration is the same network with other seeds. Each is eight random trials and a
baseline, the best three and the baseline trained again with five seeds, chosen and judged as a
job's driver does. It is told how many of them make a champion, beside two rules that people use:
the best value of a single run decides; the mean over the seeds does, by more than the standard
error of the difference.

Then simulated searches, whose truth is known: three finalists and a baseline answer sequences of
drawn difficulty, with drawn effects of their seeds; the best on the validation part is chosen.
It is told how many of the 95 percent intervals hold the truth, of the winner's accuracy on the test
part and of its gain over the baseline, beside the interval of Student's t over the seeds, and
beside `scipy.stats.bootstrap` over the seeds' means.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats
from torch import Tensor

from benchmarks.bench import Answer, answer, parser
from search.database.result import Result
from search.document.seeding import derive_seed
from search.document.space import Space
from search.document.spec import JobSpec, parse_job
from search.study.champion import choose, replicates
from search.winner.comparing import UNKNOWN, compare
from search.winner.evidence import truths
from search.winner.registry import decide
from trainables.checkpoint import Checkpoints, trial_folder
from trainables.config import Parameters
from trainables.datasets import Part, SequenceDataset, load_dataset
from trainables.device import configure
from trainables.folder import LocalFolder
from trainables.goals import Classes
from trainables.training import Trainer, fit

TRIALS = 8

DOCUMENT = """
data: {source: digits}
baseline: [{cell: gru, hidden_size: 16, learning_rate: 0.01}]
space: SPACE
training: {epochs: 3, batch_size: 64}
confirm: {top: 3, seeds: 5}
"""

SPACES = {
    "labels are shuffled": "{cell: [lstm, gru], hidden_size: [8, 16, 32], "
    "learning_rate: {low: 0.001, high: 0.03, log: true}}",
    "all configurations are equal": "{cell: [gru], hidden_size: [16], learning_rate: [0.01]}",
}


# -- searches that are trained -------------------------------------------------------------------


def world(seed: int, *, shuffled: bool) -> SequenceDataset:
    """Return 300 digits to learn, 200 to choose by and 300 to test on."""
    data = load_dataset("digits", validation=0.2, seed=0, data_dir=Path())
    random = np.random.default_rng(seed)

    def some(part: Part, count: int) -> Part:
        taken = part.take(random.permutation(len(part))[:count])
        return replace(taken, y=random.permutation(taken.y)) if shuffled else taken

    return replace(
        data,
        train=some(data.train, 300),
        validation=some(data.validation, 200),
        test=some(data.test, 300),
    )


@dataclass(frozen=True)
class Search:
    """A search in this process: random trials, a confirmation, a choice."""

    spec: JobSpec
    data: SequenceDataset
    folder: Path

    def train(self, place: str, number: int, seed: int, config: Parameters) -> float:
        """Train a trial as a worker does, keep its best weights, and return its value."""
        trainer = Trainer(
            self.spec.config(config),
            self.data,
            seed=seed,
            device=torch.device("cpu"),
            metric=self.spec.objective.metric,
            direction=self.spec.objective.direction,
        )
        list(fit(trainer))
        Checkpoints(LocalFolder(self.folder / place / trial_folder(number))).write_best(
            trainer.best_weights, epoch=trainer.best_epoch, value=trainer.best_value
        )
        return trainer.best_value

    def searched(self) -> list[FrozenTrial]:
        """Return the baseline's trial and the random ones."""
        spec, space = self.spec, Space.of(self.spec)
        study = optuna.create_study(
            direction=spec.objective.direction, sampler=RandomSampler(seed=spec.seed)
        )
        for parameters, overrides in spec.baselines():
            study.enqueue_trial(parameters, {"baseline": True, "overrides": overrides})
        study.optimize(
            lambda trial: self.train(
                "search", trial.number, derive_seed(spec.seed, trial.number), space.suggest(trial)
            ),
            n_trials=TRIALS + 1,
        )
        return study.get_trials()

    def run(self) -> Result:
        """Return what a driver would."""
        searched = self.searched()
        confirmed = []
        for number, one in enumerate(replicates(searched, self.spec)):
            # Of equal configurations the same seeds would make the same runs.
            seed = derive_seed(one.seed or 0, one.attrs["of"])
            value = self.train("confirm", number, seed, one.parameters)
            trial = create_trial(state=TrialState.COMPLETE, value=value, user_attrs=one.attrs)
            trial.number = number
            confirmed.append(trial)
        result = choose(self.spec, "honesty", searched, confirmed)
        assert result is not None
        return compare(result, self.spec, self.data, LocalFolder(self.folder))[0]


def promoted(world_name: str, seed: int) -> tuple[bool, bool, bool]:
    """Return whether a champion is made by us, by a single run, by a standard error."""
    spec = parse_job(DOCUMENT.replace("SPACE", SPACES[world_name]) + f"seed: {seed}\n")
    with TemporaryDirectory() as folder:
        data = world(seed, shuffled="shuffled" in world_name)
        search = Search(spec, data, Path(folder))
        result = search.run()
    alias, _ = decide(result, data.fingerprint, None, lambda: UNKNOWN)
    return alias == "champion", *by_usual_rules(result)


def by_usual_rules(result: Result) -> tuple[bool, bool]:
    """Return whether a single run, and whether the mean over seeds, would make a champion."""
    found = [one for one in result.candidates if not one.baseline]
    assert result.rival is not None
    base = result.rival.validation
    best = max(found, key=lambda one: statistics.fmean(one.validation)).validation
    error = math.sqrt((statistics.variance(best) + statistics.variance(base)) / len(base))
    return (
        max(one.validation[0] for one in found) > base[0],
        statistics.fmean(best) - statistics.fmean(base) > error,
    )


# -- searches that are simulated -----------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """How configurations answer: each is right with a probability that its logit gives.

    Attributes:
        validation: sequences of that part; the test part has as many.
        seeds: runs of a configuration.
        accuracy: about what they reach.
        apart: deviation of the configurations' logits.
        seed: deviation of a run's logit.
        sequence: deviation of a sequence's, half of it shared by all configurations.
    """

    validation: int
    seeds: int
    accuracy: float
    apart: float
    seed: float
    sequence: float

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.validation} sequences, {self.seeds} seeds, about {self.accuracy:.0%} right"


WORLDS = (
    World(50, 5, 0.95, 0.3, 0.3, 1.5),
    World(200, 3, 0.80, 0.3, 0.2, 1.0),
    World(500, 3, 0.97, 0.3, 0.3, 2.0),
    World(500, 5, 0.90, 0.2, 0.5, 1.5),
    World(2000, 3, 0.97, 0.2, 0.1, 2.0),
    World(2000, 2, 0.60, 0.1, 0.1, 1.0),
)

Hits = dict[str, bool]
"""Whether each interval held the truth."""


def simulated(world: World, random: np.random.Generator) -> Hits:
    """Search once in a world that is drawn, and hold the winner's intervals against it."""
    logits = math.log(world.accuracy / (1 - world.accuracy)) + world.apart * random.normal(size=4)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    deviation = math.hypot(world.seed, world.sequence)
    truth = (weights / weights.sum()) @ sigmoid(logits + deviation * points[:, None])
    effects = world.seed * random.normal(size=(4, world.seeds, 1))

    def part() -> list[Tensor]:
        size = math.sqrt(0.5) * world.sequence
        hard = size * random.normal(size=world.validation)
        own = size * random.normal(size=(4, 1, world.validation))
        right = random.random((4, world.seeds, world.validation)) < sigmoid(
            logits[:, None, None] + effects + hard + own
        )
        return [torch.from_numpy(np.stack((one, ~one), 2).astype(np.float32)) for one in right]

    y = torch.zeros(world.validation, dtype=torch.int64)
    chosen = int(truths(Classes(), "accuracy", y, part(), sign=1.0).seen[1:].argmax()) + 1
    on_test = part()
    found = truths(Classes(), "accuracy", y, on_test, sign=1.0)
    gain, means = found.gain(chosen, 0), on_test[chosen][:, :, 0].mean(1).double().numpy()
    assert gain is not None
    plain = stats.bootstrap((means,), np.mean, n_resamples=1000, method="percentile", rng=random)
    student = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means) or 1e-9)
    return {
        "accuracy": within(truth[chosen], found.interval(chosen) or (0.0, 0.0)),
        "gain": within(truth[chosen] - truth[0], (gain.low, gain.high)),
        "student": within(truth[chosen], student),
        "scipy": within(truth[chosen], plain.confidence_interval),
    }


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return found


def within(value: float, limits: Sequence[float]) -> bool:
    """Whether an interval holds a value."""
    return bool(limits[0] <= value <= limits[1])


def measure(options: argparse.Namespace) -> Answer:
    """Search often, and count."""
    configure(threads=1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searches, draws = (10, 40) if options.short else (100, 200)
    rows = []
    for name in SPACES:
        told = []
        for seed in range(searches):
            told.append(promoted(name, seed))
            print(f"{name}: {seed + 1} of {searches} searches", file=sys.stderr, flush=True)
        ours, single, error = (sum(one) for one in zip(*told, strict=True))
        rows.append((f"{name}: champions of {searches}", str(ours), f"{single}", f"{error}"))
    held = []
    for world in WORLDS:
        random = np.random.default_rng(0)
        found = [simulated(world, random) for _ in range(draws)]
        held.append(found)
        share = {key: statistics.fmean(one[key] for one in found) for key in found[0]}
        rows.append(
            (
                f"{world}: the truth is within",
                f"{share['accuracy']:.1%}, the gain {share['gain']:.1%}",
                f"{share['scipy']:.1%}",
                f"{share['student']:.1%}",
            )
        )
    return Answer(
        ("", "Gatetune", "single runs, scipy.stats.bootstrap", "standard error, Student's t"),
        rows,
        (f"{TRIALS} trials a search, 3 finalists, 5 seeds; {draws} simulated searches a world.",),
    )


if __name__ == "__main__":
    answer(parser(__doc__ or "").parse_args(), measure)
