"""A trial in the hands of a driver: what fixes it, how it is tried, how it ends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from trainables.config import Parameters, Precision, TrialConfig

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ATTEMPTS = 3
"""Workers that a trial may lose in a row without finishing an epoch before it is failed."""


class Verdict(StrEnum):
    """What follows from an epoch. All but CONTINUE end the trial."""

    CONTINUE = "continue"
    COMPLETE = "complete"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    BUDGET = "budget"


MLFLOW_STATUS = {
    Verdict.COMPLETE: "FINISHED",
    Verdict.DIVERGED: "FAILED",
    Verdict.PRUNED: "KILLED",
    Verdict.BUDGET: "KILLED",
}


SHOWN = {
    **{verdict.value: (status, verdict.value) for verdict, status in MLFLOW_STATUS.items()},
    "complete": (MLFLOW_STATUS[Verdict.COMPLETE], None),
    "failed": ("FAILED", "failed"),
    "waiting": ("KILLED", "interrupted"),
    "running": ("RUNNING", None),
}
"""For each state of a trial, MLflow's status of its run and the tag that says why."""


SHOWN_OF_JOB = {
    "finished": ("FINISHED", None),
    "stopped": ("KILLED", "interrupted"),
    "queued": ("KILLED", "interrupted"),
    "failed": ("FAILED", "failed"),
}
"""Status and tag of a job's parent run, by the job's status."""


class Loss(StrEnum):
    """Why an attempt at a trial ended without a result."""

    MEMORY = "memory"
    DISK = "disk"
    STORE = "store"
    PRECISION = "precision"
    OTHER = "other"


SIGNS = {
    # Of Python, NumPy, torch on CPU and GPU, and Ray's own watch over a node's memory.
    Loss.MEMORY: (
        r"\w*(?:OutOfMemory|Memory)Error\b|DefaultCPUAllocator|std::bad_alloc|"
        r"CUDA error: out of memory|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
    ),
    Loss.DISK: r"No space left on device|Disk quota exceeded",
    Loss.STORE: r"\bFolderError\b",
    Loss.PRECISION: r"\bPrecisionError\b",
}


DIED = r"\b[Aa]ctor (?:is dead|died)\b"
"""What Ray says of a worker whose process has ended."""


def loss_of(reason: str) -> Loss:
    """Return what kind of loss a traceback or message tells of."""
    return next((loss for loss, sign in SIGNS.items() if re.search(sign, reason)), Loss.OTHER)


@dataclass(frozen=True)
class Proposal:
    """A trial that is fixed beforehand: a baseline, or a replicate of the confirmation."""

    parameters: Parameters
    """Values for the space's parameters."""
    overrides: Parameters
    """Other settings that differ from the job's training."""
    seed: int | None = None
    """Training seed; derived from the trial's number where None."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """What the study should remember about it, such as `baseline`."""


@dataclass
class LiveTrial:
    """A trial that is being trained, or waits to be."""

    number: int
    trial_id: int
    config: TrialConfig
    seed: int
    baseline: bool
    acknowledged: int = 0
    """Epochs that the study has committed."""
    lost_after: list[int] = field(default_factory=list)
    """Epochs that were acknowledged when an attempt was lost, one entry an attempt."""
    alone: bool = False
    """Whether it runs only while nothing else does, since memory was short beside others."""
    best: float | None = None
    worker: str | None = None
    """Name of the machine on which this driver last saw it trained."""
    shown_on: str | None = None
    """Name of the one that its run names."""
    precision: Precision | None = None
    """What its first epoch was computed in, and all others are, wherever they are trained."""
    machine: str | None = None
    """What its first epoch was computed on, as `trainables.device.machine` says it."""
    costs: dict[str, float] | None = None
    """What its network costs to run, where the job asks; known after the first epoch."""

    @classmethod
    def of(cls, trial: "FrozenTrial", config: TrialConfig) -> "LiveTrial":
        """Return the trial as its worker needs it, before any epoch."""
        attrs = trial.user_attrs
        return cls(
            number=trial.number,
            trial_id=trial._trial_id,
            config=config,
            seed=attrs["seed"],
            baseline="baseline" in attrs,
            lost_after=list(attrs.get("lost_after", [])),
            alone=attrs.get("alone", False),
            precision=attrs.get("precision"),
            machine=attrs.get("machine"),
            costs=attrs.get("costs"),
        )

    def origin(self) -> dict[str, Any]:
        """Return what its first epoch has told beside metrics, as attributes of the trial."""
        known = {"precision": self.precision, "machine": self.machine, "costs": self.costs}
        return {key: value for key, value in known.items() if value is not None}

    def settings(self) -> dict[str, Any]:
        """Return what it trains with; in the precision that it began in, where it has begun."""
        return self.config.model_dump() | ({"precision": self.precision} if self.precision else {})

    def lose(self, loss: Loss) -> bool:
        """Count a lost attempt and return whether there is hope in another.

        Out of memory gets one more attempt alone. Anything else gets three without progress, the
        last of them alone: a worker that the kernel killed for its memory cannot say so.
        """
        hopeless = loss is Loss.MEMORY and self.alone
        self.lost_after.append(self.acknowledged)
        in_a_row = self.lost_after.count(self.acknowledged)
        self.alone = self.alone or loss is Loss.MEMORY or in_a_row == ATTEMPTS - 1
        return not hopeless and in_a_row < ATTEMPTS


class Given(Protocol):
    """What a trial was given, wherever it was read."""

    @property
    def params(self) -> dict[str, Any]:
        """Values of the space's active parameters."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What the study remembers of it."""


def parameters_of(trial: Given) -> Parameters:
    """Return what a trial was given beyond the job's training settings."""
    return {**trial.params, **trial.user_attrs.get("overrides", {})}


def state_of(trial: "FrozenTrial") -> str:
    """Return complete, pruned, diverged, budget, failed, running or waiting."""
    return state_named(trial.state.name, trial.user_attrs)


def state_named(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the same by the name of Optuna's `TrialState` and the trial's attributes."""
    if name == "PRUNED":
        return next((a for a in ("diverged", "budget") if a in attrs), "pruned")
    return "failed" if name == "FAIL" else name.lower()
