"""Which part of a GPU a trial gets, where the document leaves that to us."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate

from search.common.faults import is_number
from search.document.parameters import Choices, Grid
from search.document.sections import Workers
from search.document.space import Space, alike
from search.document.spec import JobSpec
from search.study.cost import GATES, Sizes, weights
from trainables.config import SHAPES, TrialConfig, measured_at_once

CONTEXT_MB = 800.0
"""What a process has on a GPU beside torch's memory: CUDA's context and the libraries' kernels, 650
to 750 on an H200; less on a smaller one."""

WORKSPACE_MB = 100.0
"""What libraries take for networks of any size, so that a small one tells little of a large one."""

PLANNED = 0.9
"""How much of a GPU is given away: not every gap in its memory can be used."""

MOST = 4
"""Trials that share a GPU at the most. They take turns and do not compute at once: two keep it busy
while one is measured, written down and spoken of (`benchmarks.gpu_share`)."""

SMALLEST_MB = 8_000.0
"""The memory of a GPU of which nothing is known yet."""

UNSURE = 2.0
"""By how much a prediction may be too low, while no large trial has told its memory."""

ENOUGH = 0.5
"""Of the largest configuration's memory: what tells how much that one needs."""

PARTS = 10_000
"""Parts of a GPU that Ray can tell apart."""

COPIES = 7
"""Of the weights: themselves, two moments of the optimizer, and the three once more in a
checkpoint; one of half the size with its gradient, in bfloat16.
Each graph has a gradient of its own, too."""

BYTES = 4


def held_mb(config: TrialConfig, sizes: Sizes) -> float:
    """Return what a trial holds on its device, in MB, as if all of it were in float32.

    The data, the weights with what goes with them, and what a batch leaves at every layer and step
    for the way back: gates, state and output, and the output's gradient. Each shape of a batch has
    memory of its own: whole ones and the rest of an epoch, of each length (`trainables.learning`).
    """
    width = config.width
    data = (sizes.train + sizes.validation) * sizes.steps * sizes.inputs
    kept = (GATES[config.cell] + 3) * config.layers * width
    lengths = SHAPES if sizes.varies else 1
    counts = [min(config.batch_size, sizes.train), sizes.train % config.batch_size]
    sequences = sum(counts) * (lengths + 1) / 2  # as many as of the longest have room there
    learning = sequences * sizes.steps * (2 * sizes.inputs + kept)
    measuring = measured_at_once(sizes.steps) * sizes.steps * 2 * (sizes.inputs + width)
    copies = COPIES + lengths * sum(count > 0 for count in counts)
    return BYTES * (data + copies * sum(weights(config, sizes)) + max(learning, measuring)) / 1e6


def largest(spec: JobSpec, sizes: Sizes) -> TrialConfig:
    """Return the configuration of a job that holds the most.

    What a trial holds grows with every number that it depends on: of numbers the highest is looked
    at, of other lists every entry; and of numbers on which conditions stand the highest of those
    that all conditions treat alike, since a smaller one may let another number count.
    """
    space = Space.of(spec)
    ends = Space({name: end(space, name) for name in space.names}, space.fixed)
    searched = [spec.config(parameters) for parameters in ends.configurations()]
    given = [spec.config(*baseline) for baseline in spec.baselines()]
    return max((*given, *searched), key=lambda config: held_mb(config, sizes))


def end(space: Space, name: str) -> Choices:
    """Return a parameter's values that may take the most memory."""
    parameter = space.parameters[name]
    conditions = space.conditions_on(name)
    grid = parameter.grid
    if conditions and isinstance(grid, Grid):
        highest = accumulate(many for _, many in alike(grid, conditions))
        return Choices(choices=[grid[place - 1] for place in highest], when=parameter.when)
    values = [value for _, value in parameter.ends()]
    numbers = [value for value in values if is_number(value)]
    most = [max(numbers)] if len(numbers) == len(values) and not conditions else values
    return Choices(choices=most, when=parameter.when)


class Packing:
    """What each trial of a job gets of its node.

    Where that is left to us it is as small a part of a GPU as the largest configuration has room
    in, by what is predicted, times how far the prediction was off for the largest trial that was
    seen; far off until one was that is not much smaller. Until any has told its GPU's memory, the
    GPU is taken to be a small one. Without any GPU it is none.

    Args:
        spec: the job.
        sizes: of its data set.
    """

    def __init__(self, spec: JobSpec, sizes: Sizes) -> None:
        self.spec = spec
        self.given = spec.workers
        self.sizes = sizes
        self.seen_mb = 0.0
        """What was predicted of the largest trial that was seen."""
        self.off = UNSURE
        self.device_mb = math.inf
        """Memory of the smallest GPU that was seen."""
        self.on_a_gpu = 0
        """How many trials share one; 0 before it was worked out."""

    def learn(self, config: TrialConfig, used_mb: float, device_mb: float) -> None:
        """Learn the most memory that a trial kept on its GPU so far, and how much that GPU has.

        To change the part costs a new worker for every trial: a smaller one has to be worth it.
        """
        self.device_mb = min(device_mb, self.device_mb)
        predicted = WORKSPACE_MB + held_mb(config, self.sizes)
        tells = predicted >= ENOUGH * (WORKSPACE_MB + self.most_mb)
        off = max(used_mb / predicted, 0.0 if tells else UNSURE)
        if predicted > self.seen_mb or (predicted == self.seen_mb and off > self.off):
            self.seen_mb, self.off = predicted, off
        self.divide(self.device_mb)

    def divide(self, device_mb: float) -> None:
        """Work out how many trials share a GPU of so much memory."""
        room = max(1, min(MOST, int(PLANNED * device_mb / self.need_mb)))
        if room < self.on_a_gpu or room >= 2 * self.on_a_gpu:
            self.on_a_gpu = room

    @cached_property
    def most_mb(self) -> float:
        """What the largest configuration holds, as predicted."""
        return held_mb(largest(self.spec, self.sizes), self.sizes)

    @property
    def need_mb(self) -> float:
        """What the largest configuration needs."""
        return CONTEXT_MB + self.off * (WORKSPACE_MB + self.most_mb)

    def workers(self, nodes: Sequence[Mapping[str, float]]) -> Workers:
        """Return what a trial gets, in numbers.

        Args:
            nodes: what each node of the cluster has, as Ray tells it.
        """
        if self.given.gpus != "auto":
            return self.given
        has_gpus = any(
            node.get("GPU", 0.0) >= 1 and node.get("CPU", 0.0) >= self.given.cpus for node in nodes
        )
        if not has_gpus:
            return self.given.model_copy(update={"gpus": 0.0})
        if not self.on_a_gpu:
            self.divide(SMALLEST_MB)
        return self.given.model_copy(update={"gpus": PARTS // self.on_a_gpu / PARTS})
