"""What `reproduce` prints, epoch by epoch."""

from typing import Any

from rich.console import Console

from search.common.labels import counted, describe, format_value
from search.winner.reproducing import Epoch, Record


class ReproductionPage:
    """What was found so far, and how it is said.

    Args:
        console: where it is printed.
        record: the trial that is trained again.
    """

    def __init__(self, console: Console, record: Record) -> None:
        self.console = console
        self.record = record
        self.epochs: list[Epoch] = []
        epochs = counted(len(record.epochs), "epoch")
        console.print(
            f"trial {record.trial} of {record.study}: {describe(record.config)}, "
            f"seed {record.seed}, in {record.config.precision}, {epochs}"
        )

    @property
    def is_equal(self) -> bool:
        """Whether every number of every epoch is the same."""
        complete = len(self.epochs) == len(self.record.epochs)
        return complete and not any(epoch.apart for epoch in self.epochs)

    @property
    def furthest(self) -> dict[str, float]:
        """The largest difference of each metric that differs, the largest first."""
        found: dict[str, float] = {}
        for epoch in self.epochs:
            for name, apart in epoch.apart.items():
                found[name] = max(apart, found.get(name, 0.0))
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def epoch(self, epoch: Epoch) -> None:
        """Take an epoch, and say whether it is the same."""
        self.epochs.append(epoch)
        metric = self.record.spec.objective.metric
        value = format_value(epoch.found.get(metric))
        apart = ", ".join(f"{name} by {value:.2g}" for name, value in epoch.apart.items())
        told = f"[yellow]apart: {apart}[/]" if apart else "[green]equal[/]"
        self.console.print(f"  epoch {epoch.number:3d}  {metric} {value}  {told}")

    def end(self) -> None:
        """Say how it ended, and why it may be so."""
        if self.is_equal:
            numbers = counted(sum(len(epoch.reported) for epoch in self.epochs), "number")
            epochs = counted(len(self.epochs), "epoch")
            self.console.print(f"[green]equal[/], bit for bit: {numbers} of {epochs}")
            return
        largest = ", ".join(f"{name} {value:.2g}" for name, value in self.furthest.items())
        self.console.print(f"[yellow]not equal[/]; the largest differences: {largest}")
        reasons = self.record.reasons() or [self.unexplained]
        for reason in reasons:
            self.console.print(f"  {reason}")

    @property
    def unexplained(self) -> str:
        """What to say where nothing that is known differs."""
        if not self.record.machine:
            return "what it was computed on is not on record"
        return "torch, processor, threads and device are the same as then"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        record = self.record
        return {
            "study": record.study,
            "trial": record.trial,
            "equal": self.is_equal,
            "epochs": [
                {"epoch": one.number, "equal": not one.apart, "apart": one.apart}
                for one in self.epochs
            ],
            "reasons": [] if self.is_equal else record.reasons(),
        }
