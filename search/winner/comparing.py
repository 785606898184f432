"""The candidates of a job side by side: what they answer decides, and says how sure that is."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from search.common.background import threads
from search.database.result import Gain, Result, Simple
from search.document.spec import JobSpec
from search.winner.evidence import Truths, truths
from search.winner.models import best_weights, network
from search.winner.simple import Fitted, fitting
from trainables.batches import Placed, answers
from trainables.cells import RecurrentNetwork
from trainables.datasets import Part, SequenceDataset
from trainables.device import one_thread
from trainables.folder import DamagedError, Folder
from trainables.footprint import Footprint, footprint
from trainables.goals import Goal, plain_goal
from trainables.metrics import sign_of

CPU = torch.device("cpu")

DAMAGE = (OSError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy raises of a file that is not as it was written."""

MOST_AT_ONCE = 8
"""Networks that are asked beside each other: each holds what it computes for a whole batch."""

MOST_CLASSES = 200
"""Of which a confusion matrix is kept: it is a square of them."""


def compare(
    result: Result, spec: JobSpec, data: SequenceDataset, folder: Folder
) -> tuple[Result, bytes]:
    """Ask the networks of a job's candidates, choose, and measure the choice.

    The validation part decides: of what was found and cannot be told from the best mean, the
    smallest network is chosen. Then training and test part are looked at, for the chosen one and
    baselines.

    Args:
        result: the candidates, that with the best mean chosen.
        spec: the job's document.
        data: its data set.
        folder: of its checkpoints.

    Returns:
        The result, and the chosen one's answers on the validation part as `Answers` keeps them.
    """
    asked = Asked(result, spec, data, folder)
    with one_thread(), fitting(data) as simple:
        on_validation = asked.answers(data.validation)
        result = asked.result
        if result.confirmed:
            result = weighed(result, asked.truths(on_validation), asked.footprints)
        result = measured(result, asked, data, on_validation.y, simple)
    return result, on_validation.of(result.chosen.of).kept()


@dataclass(frozen=True)
class Answers:
    """What the runs of configurations answer on one part.

    Attributes:
        outputs: by the trial that a configuration comes from, [runs, sequences, outputs].
        y: the labels.
    """

    outputs: Mapping[int, Tensor]
    y: Tensor

    def of(self, *ones: int) -> "Answers":
        """Return those of some configurations, in this order."""
        return Answers({one: self.outputs[one] for one in ones}, self.y)

    def kept(self) -> bytes:
        """Return the answers of a single configuration as a file of numpy."""
        (outputs,) = self.outputs.values()
        file = io.BytesIO()
        np.savez_compressed(file, outputs=outputs.numpy(), y=self.y.numpy())
        return file.getvalue()

    @classmethod
    def read(cls, content: bytes, of: int) -> "Answers":
        """Return what `kept` has written, as of some configuration.

        Raises:
            ValueError: it is something else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return cls({of: torch.from_numpy(file["outputs"])}, torch.from_numpy(file["y"]))
        except DAMAGE as error:
            raise ValueError("the answers on the validation part cannot be read") from error


UNKNOWN = "its answers are not known"
"""Why nobody knows how much better something is than a champion."""


def lead(ours: bytes, theirs: bytes, goal: Goal, result: Result) -> Gain | str:
    """Return how much better a configuration is than that of an earlier job, or why none knows.

    Args:
        ours: its answers on the validation part, kept.
        theirs: the other's.
        goal: what both are held against.
        result: says by which metric.
    """
    try:
        first, second = Answers.read(ours, 0), Answers.read(theirs, 1)
    except ValueError:
        return UNKNOWN
    if not torch.equal(first.y, second.y):
        return UNKNOWN
    metric, sign = result.metric.removeprefix("val_"), sign_of(result.direction)
    both = [*first.outputs.values(), *second.outputs.values()]
    if any(len(runs) == 1 for runs in both):
        return "a single run is sure of nothing"
    gain = truths(goal, metric, first.y, both, sign=sign).gain(0, 1)
    return gain or "a single validation sequence is sure of nothing"


class Asked:
    """The networks of all runs of a job's candidates whose weights are kept.

    Attributes:
        networks: by the trial that a candidate comes from, one a run.
        result: without runs of others than the chosen one whose weights are damaged.

    Raises:
        DamagedError: weights of the chosen one are.
    """

    def __init__(
        self, result: Result, spec: JobSpec, data: SequenceDataset, folder: Folder
    ) -> None:
        self.shape = data.shape
        self.preparation = data.preparation
        self.goal = plain_goal(data.targets, CPU)
        self.metric = result.metric.removeprefix("val_")
        self.sign = sign_of(result.direction)
        lost: set[tuple[int, int]] = set()
        self.networks: dict[int, list[RecurrentNetwork]] = {}
        for one in result.candidates if result.confirmed else result.measured:
            config, found = spec.config(one.parameters), []
            for run in one.runs:
                try:
                    weights = best_weights(result, folder, run)
                except DamagedError:
                    if one.of == result.chosen.of:
                        raise
                    lost.add((one.of, run))
                    continue
                found.append(network(config, data, weights).network)
            if found:
                self.networks[one.of] = found
        self.result = result.without(lost) if lost else result

    def answers(self, part: Part, ones: Iterable[int] | None = None) -> Answers:
        """Return what the runs of some, or of all candidates answer on a part.

        One on each processor; why not one on all of them, says `trainables.device.one_thread`.
        """
        placed = Placed(CPU, part, self.preparation)
        with threads(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
            asked = {
                one: pool.map(lambda run: answers(run, placed), self.networks[one])
                for one in (self.networks if ones is None else ones)
            }
            outputs = {}
            for one, runs in asked.items():
                found, (y, *_) = zip(*runs, strict=True)
                outputs[one] = torch.stack(found)
        return Answers(outputs, y)

    def truths(self, answered: Answers) -> Truths:
        """Return what candidates may truly reach, by what they have answered."""
        return truths(
            self.goal, self.metric, answered.y, list(answered.outputs.values()), sign=self.sign
        )

    def scores(self, answered: Answers, one: int) -> dict[str, tuple[float, ...]]:
        """Return every metric of what a candidate has answered, one a run."""
        found = [self.goal.scores(run, answered.y) for run in answered.outputs[one]]
        return {name: tuple(run[name] for run in found) for name in found[0]}

    @cached_property
    def footprints(self) -> dict[int, Footprint]:
        """Return what each candidate's network costs to run."""
        return {of: footprint(runs[0], self.shape) for of, runs in self.networks.items()}


def weighed(result: Result, found: Truths, costs: Mapping[int, Footprint]) -> Result:
    """Return the result with what the validation part says of its candidates, and the choice.

    Args:
        result: the candidates, that with the best mean chosen.
        found: what they may truly reach, in the same order.
        costs: what each one's network costs to run, by its trial.
    """
    ones = result.candidates
    place = {one.of: at for at, one in enumerate(ones)}
    best = result.chosen
    # A baseline stands where its mean is the best: it was not searched for its size.
    level = [
        one
        for one in ones[1:]
        if not (best.baseline or one.baseline)
        and one.missing == best.missing
        and found.level(0, place[one.of])
        and not found.below(place[one.of], [place[rival.of] for rival in result.baselines])
    ]
    chosen = min((best, *level), key=lambda one: costs[one.of].weights)
    result = result.choosing(chosen.of).knowing(
        {
            one.of: asdict(costs[one.of])
            | {
                "validation_interval": found.interval(place[one.of]),
                "behind": (None if one is chosen else found.gain(place[chosen.of], place[one.of])),
            }
            for one in ones
        }
    )
    rival = result.rival
    chance = None
    if rival is not None and rival.behind is not None:
        tried = [place[one.of] for one in ones if not one.baseline and len(one.runs) > 1]
        chance = found.chance(place[chosen.of], place[rival.of], tried)
    return result.model_copy(
        update={"level": tuple(one.of for one in (best, *level)) if level else (), "chance": chance}
    )


def measured(
    result: Result,
    asked: Asked,
    data: SequenceDataset,
    on_validation: Tensor,
    fitted: "Future[tuple[Fitted, ...]]",
) -> Result:
    """Return the result with training and test metrics of the candidates that may be known.

    Args:
        result: after the choice.
        asked: its networks.
        data: the job's.
        on_validation: the labels of the validation part, in the order of the answers.
        fitted: models that need no recurrent network.
    """
    ones = [one.of for one in result.measured]
    on_train, on_test = asked.answers(data.train, ones), asked.answers(data.test, ones)
    simple = fitted.result()
    # Fitted again they would be the same: as if by two seeds that do not differ.
    beside = {-1 - at: one.test.expand(2, -1, -1) for at, one in enumerate(simple)}
    found = asked.truths(Answers({**on_test.outputs, **beside}, on_test.y))
    costs = asked.footprints
    known = {}
    for place, one in enumerate(ones):
        scores = asked.scores(on_test, one)
        known[one] = asdict(costs[one]) | {
            "train": asked.scores(on_train, one)[asked.metric],
            "test": scores[asked.metric],
            "test_interval": found.interval(place),
            "scores": scores,
        }
    result = result.knowing(known)
    rival, chosen = result.rival, result.chosen
    model = on_test.outputs[chosen.of][chosen.runs.index(result.champion_run)]
    return result.model_copy(
        update={
            "simple": tuple(
                told(asked, one, on_validation, on_test.y, found.gain(0, len(ones) + at))
                for at, one in enumerate(simple)
            ),
            "test_gain": (
                None
                if rival is None or rival.of == chosen.of
                else found.gain(0, ones.index(rival.of))
            ),
            "confusion": () if data.targets else confusion(model, on_test.y),
        }
    )


def told(
    asked: Asked, one: Fitted, on_validation: Tensor, on_test: Tensor, gain: Gain | None
) -> Simple:
    """Return a simple model, measured.

    Args:
        asked: knows the metric.
        one: the model.
        on_validation: the labels of that part.
        on_test: of the test part.
        gain: how much better the chosen configuration is there.
    """
    scores = asked.goal.scores(one.test, on_test)
    return Simple(
        name=one.name,
        sees=one.sees,
        validation=asked.goal.scores(one.validation, on_validation)[asked.metric],
        test=scores[asked.metric],
        scores=scores,
        test_gain=gain,
    )


def confusion(outputs: Tensor, y: Tensor) -> tuple[tuple[int, ...], ...]:
    """Return [class, answer], how many sequences of a class got an answer; nothing of very many.

    Args:
        outputs: [sequences, classes] of one model.
        y: their classes.
    """
    classes = outputs.shape[1]
    if classes > MOST_CLASSES:
        return ()
    pairs = torch.bincount(y * classes + outputs.argmax(1), minlength=classes**2)
    return tuple(map(tuple, pairs.view(classes, classes).tolist()))
