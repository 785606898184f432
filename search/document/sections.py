"""The sections of a job document that stand for themselves."""

import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from search.common.faults import Section, is_number, number, show
from search.common.places import fault_of
from trainables.metrics import LOWER, METRICS, Cost, Task
from trainables.sources import SOURCES, SUFFIXES, Missing
from trainables.sources.columns import Columns

Metric = Literal[
    "val_accuracy",
    "val_loss",
    "val_balanced_accuracy",
    "val_macro_f1",
    "val_auroc",
    "val_mse",
    "val_mae",
    "val_r2",
]
Direction = Literal["maximize", "minimize"]


def direction_of(metric: str) -> Direction:
    """Return which way a metric gets better."""
    return "minimize" if metric.removeprefix("val_") in LOWER else "maximize"


NAME = r"[a-z0-9_][a-z0-9_-]{0,63}"
"""What a job, and so its model, may be called: it stands in ids, addresses and filters."""

GRAIN = 0.0001
"""The least part of a processor or GPU that Ray tells from none."""

MOST_GPUS = 1_000_000
"""GPUs that a trial may ask for; no cluster has them."""

MOST_JOBS = 10
"""Earlier jobs that a search starts from."""


class Identity(Section):
    """What a job is called, what it learns, and what it starts from."""

    name: str = Field(
        description="1 to 64 of a-z, 0-9, - and _, the first no -; part of the job's id, its name "
        "in MLflow"
    )
    task: Task = Field(
        "classification",
        description="whether the labels are classes, or numbers; numbers need a file",
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="fixes the split, the draws and every trial's training"
    )
    warm_start: Literal["portfolio", "none", "auto"] | tuple[str, ...] = Field(
        "portfolio",
        description="portfolio: the first draws of a sampler that learns are configurations that "
        "did well on other data; a list of 1 to 10 jobs: they are the best of these, and what the "
        "jobs found on the same data is known, but to cma-es and nsga-ii, which learn from their "
        "own draws alone; auto: of the newest jobs on data alike. Both take a sampler that learns",
    )

    @field_validator("warm_start", mode="before")
    @classmethod
    def known(cls, value: Any) -> Any:
        """Refuse what is neither a word nor a list of jobs."""
        if isinstance(value, str) and value in {"portfolio", "none", "auto"}:
            return value
        named = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        if named and 0 < len(value) <= MOST_JOBS:
            return tuple(value)
        raise ValueError(f"must be portfolio, none, auto or a list of 1 to {MOST_JOBS} jobs")

    @field_validator("name")
    @classmethod
    def plain(cls, name: str) -> str:
        """Refuse a name that cannot stand in ids and addresses."""
        if not re.fullmatch(NAME, name):
            raise ValueError("must be 1 to 64 of a-z, 0-9, - and _, and begin with no -")
        return name


class Data(Section):
    """What the networks learn from."""

    source: str = Field(
        description=f"{', '.join(SOURCES)}, or a file or folder of one's own: see [data](data.md)"
    )
    test: str | None = Field(
        None, description="a file with the test part; null where the source has one, or is split"
    )
    test_share: float = Field(
        0.2,
        gt=0.0,
        lt=1.0,
        description="share of a source without a test part that becomes one; the same sequences "
        "for every seed",
    )
    validation: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="share of the training part that is held out to compare configurations; "
        "stratified, fixed by the seed",
    )

    label: str | list[str] | None = Field(
        None, description="the column that is learned; null: the one that is called so"
    )
    sequence: str | None = Field(
        None,
        description="the column that says to which sequence a row belongs; null: the one that is "
        "called so, and where none is, each row is a sequence",
    )
    step: str | None = Field(
        None,
        description="the column that orders the rows of a sequence; null: the one that is called "
        "so, or the order of the file",
    )
    features: list[str] = Field(
        [], description="the columns that the networks see; empty: all that are nothing else"
    )
    group: str | None = Field(
        None, description="a column; sequences with the same value stay in the same part"
    )
    time: str | None = Field(
        None,
        description="a column that orders the sequences: the latest are held out; not with `group`",
    )
    missing: Missing = Field(
        "refuse",
        description="what is done about missing values: zero, the feature's mean, or forward, the "
        "last value before",
    )
    mask: bool = Field(
        default=False,
        description="whether the networks also see what was missing, unless that is refused",
    )

    @field_validator("source", "test")
    @classmethod
    def known(cls, source: str | None) -> str | None:
        """Refuse a source that can be none."""
        if source is not None and (fault := fault_of(source)):
            raise ValueError(fault)
        return source

    @field_validator("label", mode="before")
    @classmethod
    def named(cls, label: Any) -> Any:
        """Refuse what names no column; pydantic would tell two faults, of either type."""
        names = label if isinstance(label, list) else [label]
        if label is None or all(isinstance(name, str) for name in names):
            return label
        raise ValueError("must be the name of a column, or a list of names")

    @field_validator("test")
    @classmethod
    def is_file(cls, test: str | None) -> str | None:
        """Refuse a test part that is no file."""
        if test is not None and PurePath(test).suffix not in SUFFIXES:
            raise ValueError(f"must be a file ending in {', '.join(SUFFIXES)}")
        return test

    @model_validator(mode="after")
    def agree(self) -> "Data":
        """Refuse what makes no sense together."""
        given = [
            key
            for key, field in type(self).model_fields.items()
            if key not in {"source", "validation", "test_share"}
            and getattr(self, key) != field.get_default()
        ]
        if self.source in SOURCES and given:
            raise ValueError(f"{given[0]} must not be given for {self.source}, which is no file")
        if self.group is not None and self.time is not None:
            raise ValueError("group and time must not be given both")
        if self.mask and self.missing == "refuse":
            raise ValueError("mask must be false where missing is refuse")
        return self

    @property
    def columns(self) -> Columns:
        """Which column of a table is what."""
        label = [self.label] if isinstance(self.label, str) else self.label or []
        return Columns(
            label=tuple(label),
            sequence=self.sequence,
            step=self.step,
            features=tuple(self.features),
            group=self.group,
            time=self.time,
        )


class Objective(Section):
    """What the search improves."""

    metric: Metric = Field(
        "val_accuracy",
        description="the metric; a trial counts by its best epoch. With task: regression it is one "
        "of val_mse, which is the default then, val_mae, val_r2 and val_loss",
    )
    direction: Direction = Field(
        "maximize", description="which way is better; may be left out, since the metric says it"
    )
    beside: list[Cost] = Field(
        [],
        description="what is made small as well: weights, size_mb (of the weights), latency_ms "
        "(for one sequence, on one thread of a processor). Then there is no target, the pruner is "
        "none, and the sampler neither gp nor cma-es",
    )
    limits: dict[Cost, float] = Field(
        {}, description="the most that a configuration may cost, such as {latency_ms: 1}"
    )

    @model_validator(mode="before")
    @classmethod
    def follow(cls, document: Any) -> Any:
        """Let the direction follow from the metric where it is left out."""
        if isinstance(document, dict) and document.get("direction") is None:
            metric = document.get("metric", "val_accuracy")
            return {**document, "direction": direction_of(str(metric))}
        return document

    @property
    def counts_costs(self) -> bool:
        """Whether it matters what a model costs to run."""
        return bool(self.beside or self.limits)

    def exceeds(self, costs: Mapping[str, float]) -> dict[str, float]:
        """Return by how much each limit is exceeded; 0 or less where it is kept."""
        return {name: costs[name] - most for name, most in self.limits.items() if name in costs}

    def is_over(self, costs: Mapping[str, float]) -> bool:
        """Whether a limit is exceeded."""
        return any(excess > 0 for excess in self.exceeds(costs).values())

    @field_validator("beside")
    @classmethod
    def once(cls, beside: list[Cost]) -> list[Cost]:
        """Refuse what is named twice."""
        if len(set(beside)) < len(beside):
            raise ValueError("must name each cost once")
        return beside

    @field_validator("limits")
    @classmethod
    def above_nothing(cls, limits: dict[Cost, float]) -> dict[Cost, float]:
        """Refuse what no model can keep."""
        if any(not 0 < most < math.inf for most in limits.values()):
            raise ValueError("must be numbers above 0")
        return limits

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
    hours: float | None = Field(
        None,
        gt=0.0,
        description="hours that the job has run, what it waited for included, after which the "
        "search ends; null for no limit",
    )
    target: float | None = Field(
        None, description="value of the objective that is good enough; null for none"
    )


class Workers(Section):
    """What each trial gets, and how many run at once."""

    cpus: float = Field(1.0, ge=GRAIN, description="processor cores a trial")
    gpus: Literal["auto"] | float = Field(
        0.0,
        description="GPUs a trial, 0 or more, and may be a fraction; auto: a part of one in which "
        "the largest configuration has room, none where the cluster has none. Above 1 it is whole",
    )
    concurrent: Literal["auto"] | int = Field(
        "auto",
        description="trials at once, 1 or more, as far as the nodes have room; auto: as many as "
        "they have room for at the time, and no more than there are to run",
    )
    epoch_limit_s: float = Field(
        3600.0,
        gt=0.0,
        le=10_000_000,
        description="seconds after which an epoch hangs and its worker is ended",
    )

    @field_validator("concurrent", mode="before")
    @classmethod
    def count(cls, concurrent: Any) -> Any:
        """Refuse what is neither auto nor a number of trials."""
        is_count = isinstance(concurrent, int) and not isinstance(concurrent, bool)
        if concurrent != "auto" and not (is_count and concurrent >= 1):
            raise ValueError("must be auto or a whole number of at least 1")
        return concurrent

    @field_validator("gpus", mode="before")
    @classmethod
    def divisible(cls, gpus: Any) -> Any:
        """Refuse what is no number, and one and a half GPUs, which no cluster can place."""
        if gpus == "auto":
            return gpus
        if not is_number(gpus) or not 0 <= gpus < math.inf:
            raise ValueError("must be auto or a number of at least 0")
        if gpus > MOST_GPUS or 0 < gpus < GRAIN:
            raise ValueError(f"must be from {GRAIN} to {MOST_GPUS} where it is not 0")
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("must be a whole number where it is above 1")
        return float(gpus)

    @property
    def sure_gpus(self) -> float:
        """GPUs without which a trial cannot run."""
        return 0.0 if self.gpus == "auto" else self.gpus


class Confirm(Section):
    """How the winner is made sure of after the search."""

    top: int = Field(
        3, ge=0, le=1000, description="best configurations that are trained again; 0 for none"
    )
    seeds: int = Field(
        5, ge=1, le=1000, description="seeds that each of them, and the baseline, gets"
    )


def target_fault(objective: Objective, budget: Budget) -> str | None:
    """Return why the target can never be reached, or None."""
    target, metric = budget.target, objective.metric
    if target is None:
        return None
    if objective.direction == "minimize" and target <= 0:
        return f"budget.target: must be above 0 for {metric}, but got {number(target)}"
    if metric == "val_r2" and target > 1:
        return f"budget.target: must be at most 1 for {metric}, but got {number(target)}"
    if objective.direction == "maximize" and metric != "val_r2" and not 0 < target <= 1:
        return f"budget.target: must be above 0 and at most 1 for {metric}, but got {show(target)}"
    return None


def objective_fault(objective: Objective, task: Task) -> str | None:
    """Return why a task cannot have an objective, or None."""
    known = [f"val_{name}" for name in METRICS[task]]
    if objective.metric in known:
        return None
    rule = f"must be one of {', '.join(known)} for {task}"
    return f"objective.metric: {rule}, but got {objective.metric}"
