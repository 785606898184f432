"""How long an epoch takes: from a network's sizes, and learned from the epochs that were seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.config import Precision, TrialConfig, measured_at_once
from trainables.datasets import SequenceDataset

Work = NDArray[np.float64]
"""How much there is to do of each of `TERMS`."""

TERMS = {
    "batches": 9e-4,
    "layers": 1.4e-4,
    "lstm steps": 1e-6,
    "gru steps": 1.4e-5,
    "lstm products": 7.5e-12,
    "gru products": 7.5e-12,
    "weights": 6e-9,
}
"""What an epoch consists of, and the seconds that one of each takes before any epoch was seen.

Learning from a batch, and measuring one; a layer and direction of each; a step of its sequence,
which LSTMs on a processor take all in one; an operation of the matrix products; a weight that an
optimizer moves. On a machine that is faster or slower in all of it the same networks are the
costly ones. Fitted to 514 configurations of 8 to 256 units, one to three layers and batches of 16
to 256, on one thread: half of the epochs took within 11 percent of this, nine tenths within 26.
GRUs were fitted again to 60 when `trainables.gru` came: half took within 11 percent.

The numbers of a confirmation's trials follow from these seconds: with others, a job that is in the
middle of it when Gatetune is updated could not go on.
"""

SECONDS = np.array(list(TERMS.values()))

GATES = {"lstm": 4, "gru": 3}

BFLOAT16 = 0.5
"""What a product takes in bfloat16 on a processor, of one in float32. How it is on a GPU is learned
from the epochs there, with all else that is other."""

TRUST = 1.0
"""How many epochs, each of a single term, it takes to count as much as what is known before."""


@dataclass(frozen=True)
class Sizes:
    """What of a data set decides how long an epoch takes.

    Attributes:
        train: sequences that are learned in an epoch.
        validation: sequences that are measured after it.
        steps: length of each, or of the longest.
        inputs: values a step.
        outputs: of the network.
        varies: whether they are of unequal lengths.
    """

    train: int
    validation: int
    steps: int
    inputs: int
    outputs: int
    varies: bool = False

    @classmethod
    def of(cls, data: SequenceDataset) -> "Sizes":
        """Return the sizes of a data set."""
        return cls(
            train=len(data.train.y),
            validation=len(data.validation.y),
            steps=data.shape.steps,
            inputs=data.shape.inputs,
            outputs=data.shape.outputs,
            varies=data.shape.varies,
        )


def weights(config: TrialConfig, sizes: Sizes) -> tuple[int, int]:
    """Return how many weights the recurrent layers have, and the linear one; without biases."""
    width = config.width
    inputs = sizes.inputs + (config.layers - 1) * width
    recurrent = GATES[config.cell] * width * (inputs + config.layers * config.hidden_size)
    head = width * sizes.outputs * (sizes.steps if config.head == "all-steps" else 1)
    return recurrent, head


def work(config: TrialConfig, sizes: Sizes, precision: Precision = "float32") -> Work:
    """Return what an epoch consists of, in the units of `TERMS`.

    Learning a sequence takes three times what measuring it takes: backward there are two products
    for each one forward.
    """
    recurrent, head = weights(config, sizes)
    batches = -(-sizes.train // config.batch_size)
    passes = 3 * batches - (-sizes.validation // measured_at_once(sizes.steps))
    layers = passes * config.layers * config.ways
    sequences = 3 * sizes.train + sizes.validation
    products = 2.0 * sequences * (sizes.steps * recurrent + head)
    if precision == "bfloat16":
        products *= BFLOAT16
    amounts = {
        "batches": batches,
        "layers": layers,
        f"{config.cell} steps": layers * sizes.steps,
        f"{config.cell} products": products,
        "weights": batches * (recurrent + head),
    }
    return np.array([amounts.get(term, 0.0) for term in TERMS], dtype=np.float64)


def gains(config: TrialConfig) -> tuple[bool, ...]:
    """Return on which kinds of hardware this network is faster in bfloat16."""
    return config.gains_by_bfloat16, config.gains_by_amx, config.gains_on_a_gpu


class Cost:
    """The seconds of an epoch on the machines of one job.

    Weighted least squares on the epochs that were seen, each by how far it is off in proportion,
    drawn to `SECONDS` as they would be on a machine of this speed; no term is below zero.

    Args:
        sizes: of the job's data set.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.auto: dict[tuple[bool, ...], Precision] = {}
        """What precision auto was last seen to be, by where networks gain by bfloat16."""
        self.products = np.zeros((len(TERMS), len(TERMS)))
        self.sums = np.zeros(len(TERMS))
        self.fitted: Work | None = SECONDS

    @property
    def has_learned(self) -> bool:
        """Whether an epoch was seen."""
        return bool(self.sums.any())

    def work(self, config: TrialConfig, precision: Precision | None = None) -> Work:
        """Return what an epoch consists of, in the precision that the trial began in, if it has."""
        auto = self.auto.get(gains(config), "float32")
        asked = auto if config.precision == "auto" else config.precision
        return work(config, self.sizes, precision or asked)

    def learn(self, config: TrialConfig, precision: Precision, seconds: float) -> None:
        """Learn how long an epoch took."""
        if config.precision == "auto":
            self.auto[gains(config)] = precision
        share = self.work(config, precision) * SECONDS / seconds
        self.products += np.outer(share, share)
        self.sums += share
        self.fitted = None

    def seconds(self, work: Work) -> float:
        """Return how long so much of everything takes."""
        if self.fitted is None:
            self.fitted = SECONDS * self.fit()
        return float(work @ self.fitted)

    def fit(self) -> Work:
        """Return how many times its `SECONDS` each term takes here."""
        speed = self.sums.sum() / self.products.sum()
        system = self.products + TRUST * np.eye(len(TERMS))
        wanted = self.sums + TRUST * speed
        free = np.ones(len(TERMS), dtype=bool)
        while True:
            found = np.zeros(len(TERMS))
            found[free] = np.linalg.solve(system[np.ix_(free, free)], wanted[free])
            if (found >= 0).all():
                return found
            free &= found > 0


TYPICAL = Sizes(train=4000, validation=1000, steps=28, inputs=28, outputs=10)
"""Sizes of data that tell dear configurations from cheap ones: which is which hardly depends on
them, and whoever reads a job, with its data or without, has to come to the same order."""


def typical_s(config: TrialConfig) -> float:
    """Return how long a trial takes from its first epoch to its last, on typical data."""
    cost = Cost(TYPICAL)
    return config.epochs * cost.seconds(cost.work(config))
