"""Names of the metrics of a part, and which way each gets better; light to import."""

from typing import Literal

Task = Literal["classification", "regression"]

CLASSIFICATION = ("loss", "accuracy", "balanced_accuracy", "macro_f1", "auroc")

REGRESSION = ("loss", "mse", "mae", "r2")

METRICS: dict[Task, tuple[str, ...]] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
}
"""Of each task; the first but the loss is the one by which it is usually judged."""

COSTS = ("weights", "size_mb", "latency_ms")
"""What a model costs to run; see `trainables.footprint`. Less is better of all."""

Cost = Literal["weights", "size_mb", "latency_ms"]

LOWER = ("loss", "mse", "mae")
"""Those of which less is better; of all others more is, up to 1."""

COUNTED = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
"""Metrics that only know right and wrong: of 40 right ones of 40, resampling makes nothing else."""


def sign_of(direction: str) -> float:
    """Return what a value has to be multiplied with so that more is better."""
    return 1.0 if direction == "maximize" else -1.0
