"""A trainable that trains nothing: what a search of it takes is the machinery's.

It stands apart from what runs a search, since workers import what their trainable is defined in:
neither side's pay for more than Ray.
"""

from typing import Any

from ray import tune


def objective(learning_rate: float, layers: int) -> float:
    """Return a number that costs nothing to compute."""
    return 1.0 - abs(learning_rate - 0.003) - 0.01 * layers


class TrivialTrial(tune.Trainable):
    """Trains nothing; keeps the contract of `RecurrentTrial`."""

    def setup(self, config: dict[str, Any], data: None) -> None:  # type: ignore[override]
        """Take the parameters."""
        self.parameters = config["parameters"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial's parameters."""
        self.parameters = new_config["parameters"]
        return True

    def step(self) -> dict[str, Any]:
        """Report one epoch."""
        value = objective(self.parameters["learning_rate"], self.parameters["layers"])
        metrics = {"val_accuracy": value, "val_loss": 1 - value, "train_loss": 1 - value}
        report = {"epoch": 1, "outcome": "complete", "damaged": ()}
        return report | {"precision": "float32", "machine": "{}", "metrics": metrics}
