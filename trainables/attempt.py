"""One attempt at a trial: go on where the study stands, train, keep what the next would need."""

import copy
import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from trainables.checkpoint import Checkpoints
from trainables.config import Precision, TrialConfig
from trainables.datasets import SequenceDataset
from trainables.device import machine, pick_device, size_mb
from trainables.folder import DamagedError, folder_at
from trainables.footprint import footprint
from trainables.metrics import sign_of
from trainables.training import Diverged, Trainer

CHECKPOINT_S = 2.0
"""Seconds of training that may have to be repeated: epochs that are shorter share a checkpoint, or
writing them would take longer than some epochs do."""

Outcome = Literal["running", "complete", "diverged"]


@dataclass(frozen=True)
class Report:
    """One epoch as it is reported.

    Attributes:
        epoch: counted from 1.
        metrics: what `Trainer.run_epoch` returned, or what is known of a diverged epoch.
        outcome: whether more epochs follow, and why not.
        precision: what it was computed in.
        machine: what it was computed on, as JSON.
        device_mb: how much memory the GPU has; None for a processor.
        damaged: what was wrong with checkpoints that could not be used, a sentence each.
    """

    epoch: int
    metrics: dict[str, float]
    outcome: Outcome
    precision: Precision
    machine: str
    device_mb: float | None = None
    damaged: tuple[str, ...] = ()


class Attempt:
    """A worker's attempt at one trial.

    Args:
        config: number, parameters (of a `TrialConfig`), seed, acknowledged (the last epoch that
            the study has committed), checkpoints (place of the trial's folder), metric, direction,
            target (the value of it that ends the trial, or None), gpus, epoch_limit_s (seconds
            after which an epoch is hung), costs (whether the first epoch tells what the network
            costs to run).
        data: what is learned.
    """

    def __init__(self, config: dict[str, Any], data: SequenceDataset) -> None:
        self.config = config
        self.data = data
        self.settings = TrialConfig(**config["parameters"])
        self.checkpoints = Checkpoints(folder_at(config["checkpoints"]))
        self.device = pick_device(config["gpus"])
        self.reported = min(int(config["acknowledged"]), self.settings.epochs - 1)
        self.trainer: Trainer | None = None
        self.written = time.monotonic()
        """When the last checkpoint was, or the attempt began."""
        self.damaged: list[str] = []
        self.ended = False

    @cached_property
    def machine(self) -> str:
        """What this attempt computes on; asked at its first report, since a GPU takes its time."""
        return machine(self.device)

    def next_report(self) -> Report:
        """Return the next epoch that the study has not acknowledged.

        An epoch that is on disk was finished by an earlier attempt and is reported as it was; any
        other is trained, from the newest state there is. Checkpoint first, then report: what the
        study may end a trial with is never missing on disk because of a crash.

        Raises:
            RuntimeError: the last report ended the trial.
        """
        if self.ended:
            raise RuntimeError(f"trial {self.config['number']} has ended; there is no next epoch")
        epoch = self.reported + 1
        report = self.stored(epoch) if self.trainer is None else None
        while report is None or report.epoch < epoch:
            report = self.train()
            if report.outcome == "diverged":
                # Another machine's arithmetic may take a known epoch to another end: the study
                # hears of it as the epoch that it waits for.
                report = replace(report, epoch=epoch)
        self.reported = epoch
        self.ended = report.outcome != "running"
        report = replace(report, device_mb=size_mb(self.device), damaged=tuple(self.damaged))
        self.damaged.clear()
        return report

    def stored(self, epoch: int) -> Report | None:
        """Return an epoch that an earlier attempt finished but the study does not know."""
        state = self.read(epoch)
        if state is None:
            return None
        return Report(
            epoch,
            state["metrics"],
            state["outcome"],
            state["precision"],
            state.get("machine", self.machine),  # of a version before there was none
        )

    def read(self, epoch: int) -> dict[str, Any] | None:
        """Return the state after an epoch; a damaged one is as good as none, and is reported."""
        try:
            return self.checkpoints.read(epoch)
        except DamagedError as damage:
            self.damaged.append(str(damage))
            return None

    def train(self) -> Report:
        """Train one epoch, and write its checkpoint where one is due."""
        with hang_limit(self.config["epoch_limit_s"]):
            trainer = self.trainer = self.trainer or self.resumed()
            try:
                metrics = trainer.run_epoch()
            except Diverged as diverged:
                epoch, metrics = trainer.epoch + 1, diverged.metrics
                report = Report(epoch, metrics, "diverged", trainer.precision, self.machine)
                self.write(report, None)
                return report
            if trainer.epoch == 1 and self.config["costs"]:
                network = copy.deepcopy(trainer.model).cpu()
                metrics |= asdict(footprint(network, self.data.shape))
            outcome: Outcome = "complete" if trainer.is_done else "running"
            report = Report(trainer.epoch, metrics, outcome, trainer.precision, self.machine)
            if trainer.is_done:
                self.finish(trainer, report)
            elif self.is_due(metrics[self.config["metric"]]):
                self.write(report, trainer.state())
            return report

    def is_due(self, value: float) -> bool:
        """Whether an epoch with this value is to be kept: the study may end the trial with it."""
        target, sign = self.config["target"], sign_of(self.config["direction"])
        reached = target is not None and sign * value >= sign * target
        return reached or time.monotonic() - self.written >= CHECKPOINT_S

    def write(self, report: Report, state: dict[str, Any] | None) -> None:
        """Write the checkpoint of an epoch."""
        self.checkpoints.write(
            report.epoch,
            {
                "metrics": report.metrics,
                "outcome": report.outcome,
                "precision": report.precision,
                "machine": report.machine,
                "trainer": state,
            },
        )
        self.written = time.monotonic()

    def finish(self, trainer: Trainer, report: Report) -> None:
        """Write the best weights, then what a crash before the report needs of the last epoch.

        Nobody goes on from it, so that it has no state.
        """
        self.checkpoints.write_best(
            trainer.best_weights, epoch=trainer.best_epoch, value=trainer.best_value
        )
        self.write(report, None)
        self.checkpoints.clear_epochs(keep=report.epoch)

    def resumed(self) -> Trainer:
        """Return a trainer in the newest state up to the last epoch reported, a fresh one if none.

        Epochs between that state and the last report are trained again, to the same numbers. What
        began in one precision goes on in it, whatever this machine would pick.
        """
        state = self.newest_state()
        began_in = {} if state is None else {"precision": state["precision"]}
        trainer = Trainer(
            self.settings.model_copy(update=began_in),
            self.data,
            seed=self.config["seed"],
            device=self.device,
            metric=self.config["metric"],
            direction=self.config["direction"],
        )
        if state is not None:
            trainer.load_state(state["trainer"])
        return trainer

    def newest_state(self) -> dict[str, Any] | None:
        """Return the newest whole checkpoint up to the last epoch reported, None where none is."""
        for epoch in reversed(self.checkpoints.epochs()):
            state = self.read(epoch) if epoch <= self.reported else None
            if state is not None and state["trainer"] is not None:
                return state
        return None


@contextmanager
def hang_limit(seconds: float) -> Iterator[None]:
    """End the process, with the stacks of its threads, if the block takes longer.

    The watch is a thread that needs no interpreter lock, so that it works while the process is
    stuck in foreign code. Whoever waits for the process sees it dead.
    """
    # Ray replaces sys.stderr by objects without a file: the descriptor is always there.
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
