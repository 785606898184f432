"""What the service takes and gives, as the schema shows it."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from search.service.tokens import Role

Status = Literal["queued", "running", "stopped", "failed", "finished"]

DOCUMENT = """name: digits
data: {source: digits}
space:
  cell: [lstm, gru]
  hidden_size: {low: 16, high: 64, step: 16}
budget: {trials: 8}
"""


NUMBER = 2**31 - 1
"""The most that a column of whole numbers holds, and can be asked for."""


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """Return metrics with what JSON cannot hold as None."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class Request(BaseModel):
    """A body that is read strictly."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DocumentRequest(Request):
    """A job document, and what replaces parts of it."""

    document: str | dict[str, Any] = Field(examples=[DOCUMENT])
    """As YAML text, or as the mapping that it would be."""
    set: list[str] = Field([], examples=[["budget.trials=4"]], max_length=100)
    """Settings such as `budget.trials=4` that replace the document's."""


class JobRequest(DocumentRequest):
    """A job to be launched."""

    priority: Annotated[int, Field(ge=-10, le=10)] = 0
    """Which of the queue goes first; the highest."""


class UploadedFile(BaseModel):
    """A data file that was uploaded."""

    name: str = Field(examples=["walks.npz"])
    size_bytes: int
    sha256: str
    modified_at: float


class SessionRequest(Request):
    """A login."""

    token: str = Field(examples=["gt_5f0c1a9b_kC1zJ6oV3rX8aYw2QeTn0bHs5uLd7iPf9gMxZq4RvEc"])


class Objective(BaseModel):
    """What a job improves."""

    metric: str
    direction: Literal["maximize", "minimize"]
    beside: list[str] = []
    """Costs of a model that are made small as well."""
    limits: dict[str, float] = {}
    """The most that a model may cost."""


class Counts(BaseModel):
    """Trials of the search by state."""

    complete: int
    pruned: int
    diverged: int
    failed: int
    running: int
    waiting: int
    total: int
    budget: int


class Gain(BaseModel):
    """How much better a configuration is than the baseline, on the validation part."""

    value: float
    low: float
    """Of the interval in which the truth lies with 95 percent."""
    high: float
    probability: float
    """That it is truly better."""


class Reign(BaseModel):
    """A version that is, or was, the champion of its name."""

    version: str
    job: str
    present: bool
    since_ms: int
    by: str
    reason: str
    metric: str
    validation: list[float]
    test: list[float]
    test_interval: tuple[float, float] | None
    gain: Gain | None
    fingerprint: str


class Model(BaseModel):
    """The registered winner."""

    name: str
    version: str
    alias: str
    reason: str | None = None


Cell = Literal["lstm", "gru"]


class Workers(BaseModel):
    """What a running job uses."""

    trials: int
    """That run at once, those that confirm included."""
    cpus: float
    gpus: float | None
    """Null where each trial gets what its worker finds."""
    part: float | None
    """Of the Ray that jobs share, 1 being all of it; null where it has a Ray of its own."""


class JobSummary(BaseModel):
    """A job in short."""

    id: str = Field(examples=["digits-7f3a"])
    name: str
    owner: str
    priority: int
    status: Status
    message: str | None
    created_at: float
    elapsed_s: float
    left_s: float | None
    """Seconds that it will still search and confirm, about; null where nobody knows."""
    workers: Workers | None
    """Null where it does not run."""
    objective: Objective
    trials: Counts
    best_value: float | None
    best_by_cell: dict[Cell, float]
    """The same of each kind of cell that has one."""
    confirmed_mean: float | None
    model: Model | None


class JobPage(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next: str | None
    """The `cursor` of the next page."""


class Job(BaseModel):
    """A job in full, as `gatetune show --json` prints it."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["digits-7f3a"])
    name: str
    owner: str
    priority: int
    status: Status
    message: str | None
    created_at: float
    revision: int
    """Counts the changes of the job, as the ids of its events do."""
    objective: Objective
    trials: Counts
    best: dict[str, Any] | None
    best_by_cell: dict[Cell, float]
    """The best value of each kind of cell that has one."""
    confirmed: dict[str, Any] | None
    compared: list[dict[str, Any]]
    simple: list[dict[str, Any]]
    unbeaten: str | None
    """The simple model that the winner does not beat; null where it beats all."""
    unbeaten_on: Literal["validation", "test"] | None
    """The part of the data on which it does not."""
    model: Model | None
    elapsed_s: float
    left_s: float | None
    """Seconds that it will still search and confirm, about; null where nobody knows."""
    mlflow_parent_run_id: str | None
    undelivered: int
    mlflow_away: dict[str, Any] | None


class TrialRow(BaseModel):
    """A trial, as `gatetune trials --json` prints it."""

    model_config = ConfigDict(extra="allow")

    study: str
    trial: int
    state: Literal["complete", "pruned", "diverged", "budget", "failed", "running", "waiting"]
    value: float | None
    best_epoch_value: float | None
    epochs: int
    planned_epochs: int | None
    """Those that it has if nothing ends it early."""
    cell: Cell | None
    name: str | None
    """Of its run in MLflow, which says the most of its configuration."""
    params: dict[str, Any]
    worker: str | None
    """Name of the machine on which it was last trained."""


class Epoch(BaseModel):
    """One epoch of a trial."""

    epoch: int
    time_ms: int
    metrics: dict[str, float | None]
    """By name; null where a value was not finite."""


class TokenRequest(Request):
    """A token to be made."""

    owner: str = Field(examples=["ada"], max_length=64)
    role: Role = Field(examples=["launch"])


class TokenRow(BaseModel):
    """A token but its secret."""

    id: str
    owner: str
    role: Role
    created_at: float
    revoked_at: float | None


class NewToken(BaseModel):
    """A token with its secret, which cannot be read again."""

    id: str
    owner: str
    role: Role
    token: str


class Deleted(BaseModel):
    """What was deleted."""

    deleted: str


class Health(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "trouble"]
    version: str
    trouble: list[str] = []
    """What does not work, in sentences."""
