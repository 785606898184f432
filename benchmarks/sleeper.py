"""A trainable that sleeps; it imports no torch, so that many fit on one machine."""

import time
from typing import Any

from ray import tune


def metrics_at(number: int, epoch: int) -> dict[str, float]:
    """Return an epoch's metrics, as many as a real one has; trials differ, and none gets worse."""
    loss = 2 / (epoch + number % 7 + 1)
    return {
        "train_loss": loss,
        "val_loss": loss * 1.1,
        "val_accuracy": 1 - loss / 3,
        "gradient_norm": loss * 4,
        "epoch_s": 1 + loss,
    }


class Sleeper(tune.Trainable):
    """Sleeps through its epochs; keeps the contract of `RecurrentTrial`."""

    def setup(self, config: dict[str, Any], data: tuple[int, float]) -> None:  # type: ignore[override]
        """Take a trial, the number of its epochs, and the seconds that each one lasts."""
        self.epochs, self.epoch_s = data
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self.number: int = new_config["number"]
        self.epoch: int = new_config["acknowledged"]
        return True

    def step(self) -> dict[str, Any]:
        """Sleep, and report one epoch."""
        time.sleep(self.epoch_s)
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "metrics": metrics_at(self.number, self.epoch),
            "outcome": "complete" if self.epoch == self.epochs else "running",
            "damaged": (),
            "precision": "float32",
            "machine": "{}",
        }
