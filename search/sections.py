"""The sections of a job document that stand for themselves."""

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from search.faults import Section, nearest, number, show
from trainables.datasets import SOURCES

Metric = Literal["val_accuracy", "val_loss"]
Direction = Literal["maximize", "minimize"]


def sign_of(direction: str) -> float:
    """Return what a value has to be multiplied with so that more is better."""
    return 1.0 if direction == "maximize" else -1.0


def direction_of(metric: str) -> Direction:
    """Return which way a metric gets better."""
    return "maximize" if metric.endswith("accuracy") else "minimize"


class Identity(Section):
    """What a job is called, and what its random numbers start from."""

    name: str = Field(
        description="1 to 64 of a-z, 0-9, - and _; part of the job's id, its name in MLflow"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="fixes the split, the draws and every trial's training"
    )

    @field_validator("name")
    @classmethod
    def plain(cls, name: str) -> str:
        """Refuse a name that cannot stand in ids and addresses."""
        if not re.fullmatch(r"[a-z0-9_-]{1,64}", name):
            raise ValueError("must be 1 to 64 of a-z, 0-9, - and _")
        return name


class Data(Section):
    """What the networks learn from."""

    source: str = Field(description=f"the data set: {', '.join(SOURCES)}")
    validation: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="share of the training part that is held out to compare configurations; "
        "stratified, fixed by the seed",
    )

    @field_validator("source")
    @classmethod
    def known(cls, source: str) -> str:
        """Refuse a source that does not exist."""
        if source not in SOURCES:
            guess = nearest(source, SOURCES)
            options = ", ".join(SOURCES) + (f" (did you mean {guess}?)" if guess else "")
            raise ValueError(f"must be one of {options}")
        return source


class Objective(Section):
    """What the search improves."""

    metric: Metric = Field(
        "val_accuracy", description="the metric; a trial counts by its best epoch"
    )
    direction: Direction = Field(
        "maximize", description="which way is better; may be left out, since the metric says it"
    )

    @model_validator(mode="before")
    @classmethod
    def follow(cls, document: Any) -> Any:
        """Let the direction follow from the metric where it is left out."""
        if isinstance(document, dict) and document.get("direction") is None:
            metric = document.get("metric", "val_accuracy")
            return {**document, "direction": direction_of(str(metric))}
        return document

    @field_validator("direction")
    @classmethod
    def agree(cls, direction: Direction, info: ValidationInfo) -> Direction:
        """Refuse to search for the worst value."""
        metric = info.data.get("metric")
        if metric is not None and direction != direction_of(metric):
            raise ValueError(f"must be {direction_of(metric)} for {metric}")
        return direction


class Budget(Section):
    """When the search ends; the first limit that is reached counts."""

    trials: int = Field(30, ge=1, le=1_000_000, description="trials, the baseline included")
    hours: float | None = Field(None, gt=0.0, description="hours of search; null for no limit")
    target: float | None = Field(
        None, description="value of the objective that is good enough; null for none"
    )


class Workers(Section):
    """What each trial gets, and how many run at once."""

    cpus: float = Field(1.0, gt=0.0, description="processor cores a trial")
    gpus: float = Field(0.0, ge=0.0, description="GPUs a trial; may be a fraction")
    concurrent: Literal["auto"] | int = Field(
        "auto",
        description="trials at once, 1 or more; auto: as many as the nodes have room for at the "
        "time, and no more than there are to run",
    )
    epoch_limit_s: float = Field(
        3600.0, gt=0.0, description="seconds after which an epoch hangs and its worker is ended"
    )

    @field_validator("concurrent", mode="before")
    @classmethod
    def count(cls, concurrent: Any) -> Any:
        """Refuse what is neither auto nor a number of trials."""
        is_count = isinstance(concurrent, int) and not isinstance(concurrent, bool)
        if concurrent != "auto" and not (is_count and concurrent >= 1):
            raise ValueError("must be auto or a whole number of at least 1")
        return concurrent

    @field_validator("gpus")
    @classmethod
    def divisible(cls, gpus: float) -> float:
        """Refuse one and a half GPUs, which no cluster can place."""
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("must be a whole number where it is above 1")
        return gpus


class Confirm(Section):
    """How the winner is made sure of after the search."""

    top: int = Field(3, ge=0, description="best configurations that are trained again; 0 for none")
    seeds: int = Field(5, ge=1, description="seeds that each of them, and the baseline, gets")


def target_fault(objective: Objective, budget: Budget) -> str | None:
    """Return why the target can never be reached, or None."""
    target = budget.target
    if target is None:
        return None
    if objective.direction == "maximize" and not 0 < target <= 1:
        return f"budget.target: an accuracy must be above 0 and at most 1, but got {show(target)}"
    if objective.direction == "minimize" and target <= 0:
        return f"budget.target: a loss must be above 0, but got {number(target)}"
    return None
