"""Training and measuring a network, one epoch at a time."""

import copy
import hashlib
import math
import time
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from trainables.batches import Placed, measure
from trainables.cells import RecurrentNetwork
from trainables.config import TrialConfig
from trainables.datasets import SequenceDataset
from trainables.device import keep_memory, peak_mb, pick_precision, watch_memory
from trainables.goals import Classes, goal_of
from trainables.learning import Learner
from trainables.metrics import sign_of
from trainables.optimizers import OPTIMIZERS

CHECK_STEPS = 8
"""Steps between two looks at whether training diverged: each look waits for the device."""


class Diverged(Exception):  # noqa: N818 - a normal outcome, not an error
    """A loss or a gradient is not finite.

    Attributes:
        metrics: what is known of the epoch; some values are not finite.
    """

    def __init__(self, metrics: dict[str, float]) -> None:
        super().__init__("a loss or a gradient is not finite")
        self.metrics = metrics


class Trainer:
    """One network in training.

    Every epoch draws its order and its dropout from the seed and the epoch's number alone, so that
    an epoch repeated from the same state gives the same numbers.

    Args:
        config: model and training.
        data: its training part is learned, its validation part is measured after each epoch.
        seed: fixes the first weights, the order of the batches and the dropout.
        device: where to compute; the two parts are placed there.
        metric: the name of the epoch metric by which the best epoch is chosen.
        direction: whether a large or a small value of it is better.

    Attributes:
        precision: what the matrix products are computed in.
        epoch: finished epochs.
        model: the network after that epoch.
        best_epoch: the best epoch so far, the earliest of equals; 0 before the first.
        best_value: its metric.
        best_weights: its weights, on the CPU.

    Raises:
        PrecisionError: the device cannot compute in the precision asked for.
    """

    def __init__(  # noqa: PLR0913 - each is an independent part of the training
        self,
        config: TrialConfig,
        data: SequenceDataset,
        *,
        seed: int,
        device: torch.device,
        metric: str,
        direction: Literal["maximize", "minimize"],
    ) -> None:
        self.config = config
        self.seed = seed
        self.device = device
        self.metric = metric
        self.sign = sign_of(direction)
        self.precision = pick_precision(config, device)
        watch_memory(device)
        keep_memory(varies=data.shape.varies)
        self.goal = goal_of(data, config, device)
        self.train = Placed(device, data.train, data.preparation)
        self.validation = Placed(device, data.validation, data.preparation)
        self.seed_torch(0)
        # Made on the CPU first: the same seed gives the same first weights on every device.
        self.model = RecurrentNetwork(config, data.shape).to(device)
        self.learner = Learner(
            config,
            self.model,
            self.goal,
            self.train,
            inputs=data.features,
            precision=self.precision,
        )
        self.optimizer = OPTIMIZERS[config.optimizer](
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.scheduler = self.one_cycle() if config.schedule == "one-cycle" else None
        self.epoch = 0
        self.best_epoch = 0
        self.best_value = math.nan
        self.best_weights: dict[str, Tensor] = {}

    def one_cycle(self) -> OneCycleLR | None:
        """Return the schedule of Smith and Topin (2017), https://arxiv.org/abs/1708.07120.

        None for a single step, which would have the rate of the cycle's end.
        """
        steps = self.config.epochs * math.ceil(len(self.train) / self.config.batch_size)
        if steps == 1:
            return None
        return OneCycleLR(self.optimizer, self.config.learning_rate, total_steps=steps)

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, measure it, and remember its weights if it is the best.

        Returns:
            train_loss, and train_accuracy of classes: means over the epoch, while the weights
                moved.
            val_loss, val_accuracy and so on: of the validation part after the epoch, as the goal's
                scores.
            learning_rate: of the last step.
            grad_norm: mean total gradient norm of the steps, before clipping.
            epoch_s: seconds for all of it.
            samples_per_s: training sequences a second, without the validation.
            memory_mb: the most memory that the trial kept on its GPU so far; not on a processor.

        Raises:
            Diverged: a loss or gradient is not finite; the trainer must not be used further.
        """
        began = time.perf_counter()
        self.seed_torch(self.epoch + 1)
        metrics = self.train_epoch()
        metrics["samples_per_s"] = len(self.train) / (time.perf_counter() - began)
        self.learner.pull()
        network, dtype = self.learner.network, self.learner.autocast
        measured = measure(network, self.validation, self.goal, dtype)
        metrics |= {f"val_{name}": value for name, value in measured.items()}
        metrics["epoch_s"] = time.perf_counter() - began
        if (memory_mb := peak_mb(self.device)) is not None:
            metrics["memory_mb"] = memory_mb
        if not math.isfinite(metrics["val_loss"]):
            raise Diverged(metrics)
        self.epoch += 1
        self.remember_best(metrics[self.metric])
        return metrics

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch and return its training metrics, without the times."""
        self.learner.network.train()
        sums = self.learner.sums.zero_()
        rate = self.config.learning_rate
        seen = 0
        batches = self.train.shuffled(self.config.batch_size)
        for step, rows in enumerate(batches, start=1):
            rate = self.optimizer.param_groups[0]["lr"]
            self.learner.learn(rows)
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            seen += len(rows.at)
            if step % CHECK_STEPS == 0 or step == len(batches):
                loss, correct, norm = sums.tolist()
                metrics = {
                    "train_loss": loss / seen,
                    "learning_rate": float(rate),
                    "grad_norm": norm / step,
                }
                if isinstance(self.goal, Classes):
                    metrics["train_accuracy"] = correct / seen
                if not math.isfinite(loss + norm):
                    raise Diverged(metrics)
        return metrics

    def remember_best(self, value: float) -> None:
        """Keep the weights if ``value`` beats every earlier epoch's."""
        if self.best_epoch == 0 or self.sign * value > self.sign * self.best_value:
            self.best_epoch, self.best_value = self.epoch, value
            self.best_weights = {
                name: weight.detach().to("cpu", copy=True)
                for name, weight in self.model.state_dict().items()
            }

    @property
    def is_done(self) -> bool:
        """Whether no epoch follows: all are trained, or none was better for too long."""
        stale = self.config.is_stale(self.epoch, self.best_epoch)
        return self.epoch >= self.config.epochs or stale

    def seed_torch(self, epoch: int) -> None:
        """Seed torch's generators for one epoch; 0 is the making of the first weights."""
        digest = hashlib.sha256(f"{self.seed}/{epoch}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:8], "big"))

    def state(self) -> dict[str, Any]:
        """Return a copy of all that `load_state` needs to go on from here; plain types only."""
        return copy.deepcopy(
            {
                "epoch": self.epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
                "best_epoch": self.best_epoch,
                "best_value": self.best_value,
                "best_weights": self.best_weights,
            }
        )

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of a trainer of the same configuration, data and seed."""
        state = copy.deepcopy(state)
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.best_epoch = state["best_epoch"]
        self.best_value = state["best_value"]
        self.best_weights = state["best_weights"]


def fit(trainer: Trainer) -> Iterator[dict[str, float]]:
    """Run the epochs that are left and yield each one's metrics, as `Trainer.run_epoch` does.

    Raises:
        Diverged: as `Trainer.run_epoch` does.
    """
    while not trainer.is_done:
        yield trainer.run_epoch()
