"""Our own tables beside Optuna's, whose columns say all that is known of a job."""

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    ScalarSelect,
    String,
    cast,
    func,
    or_,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from search.database.result import Result

PARENT = -1
"""Trial number under which the parent run of a job stands in `runs` and `journal`."""

RunKey = tuple[str, int]
"""A study's name and a trial's number; `PARENT` is the number of the job's own run."""


def confirmation(job_id: str) -> str:
    """Return the name of the study that confirms a job's winner."""
    return f"{job_id}/confirm"


class Base(DeclarativeBase):
    """Declarative base of Gatetune's tables."""


class Job(Base):
    """One search: its document, its state and what it found. Times are Unix seconds."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_request", "request", unique=True),
        Index("jobs_created", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    document: Mapped[str]
    """JSON of the JobSpec, its space in the order of the document."""
    source: Mapped[str]
    """The document as the person wrote it, overrides applied."""
    commit: Mapped[str | None]
    """Git commit of the folder that the job was launched from."""
    status: Mapped[str]
    """queued, running, stopped, failed or finished."""
    message: Mapped[str | None]
    """Why the job ended as it did, in a sentence."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    elapsed_s: Mapped[float] = mapped_column(default=0.0)
    """Seconds that drivers have spent on the job, over all its starts."""
    stop_requested: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[float] = mapped_column(default=0.0)
    dataset: Mapped[str | None]
    """JSON: name, fingerprint, shape and sizes of the parts."""
    taken: Mapped[str | None]
    """JSON of what it has taken over from earlier jobs; see `search.study.warming.Taken`."""
    result: Mapped[str | None]
    """JSON of the candidates that were compared; see `search.database.result.Result`."""
    model: Mapped[str | None]
    """JSON, as `show` prints it."""
    closed: Mapped[str | None]
    """Why the search ended before its budget of trials: hours, target or exhausted."""
    mlflow_away_since: Mapped[float | None]
    """When MLflow stopped answering the delivery; None while it answers."""
    mlflow_error: Mapped[str | None]
    """What it, or the way to it, said last."""
    owner: Mapped[str] = mapped_column(default="")
    """Who launched it: the name of a token's owner, or of the user of a command line."""
    priority: Mapped[int] = mapped_column(default=0)
    """Which of the queue goes first: the highest, and of those the oldest."""
    supervised: Mapped[bool] = mapped_column(default=False)
    """Whether a supervisor sees to it that the job ends; else a person's own command runs it."""
    request: Mapped[str | None]
    """The key of the request that made it, so that the same request again makes no second job."""
    failed_starts: Mapped[int] = mapped_column(default=0)
    """Drivers in a row that died without having reported an epoch."""
    slots: Mapped[int | None]
    """Trials at once for which the Ray that it shares has room, were it alone there."""
    slots_wanted: Mapped[int | None]
    """Trials at once that it could make use of."""
    slots_used: Mapped[int | None]
    """Trials that it runs, or may start before it looks again."""
    revision: Mapped[int] = mapped_column(default=0)
    """Counts the commits of the job's drivers; rows that change bear it, so that changes since a
    revision can be told."""
    changed: Mapped[int] = mapped_column(default=0)
    """The revision at which this row last changed in what people see."""

    @property
    def is_wanted(self) -> bool:
        """Whether a supervisor is to start another driver for it, once it has none."""
        return self.supervised and not self.stop_requested

    @property
    def data(self) -> dict[str, Any]:
        """What the job knows of its data set; empty before it was read."""
        known: dict[str, Any] = json.loads(self.dataset or "{}")
        return known

    @property
    def found(self) -> "Result | None":
        """What the candidates that were compared have come to; None before the choice."""
        from search.database.result import Result  # brings pydantic, which not all need

        return Result.model_validate_json(self.result) if self.result else None

    @property
    def registered(self) -> dict[str, Any] | None:
        """The model as `show` prints it; None where nothing is registered."""
        known: dict[str, Any] | None = json.loads(self.model or "null")
        return known


def now_ms() -> int:
    """Return the time in milliseconds since 1970, MLflow's unit."""
    return int(time.time() * 1000)


def revision_of(job_id: str) -> ScalarSelect[int]:
    """Return the revision that the transaction at hand has given a job."""
    return select(Job.revision).where(Job.id == job_id).scalar_subquery()


class JournalRow(Base):
    """One epoch of one trial, as it was first reported; waits for delivery to MLflow."""

    __tablename__ = "journal"
    __table_args__ = (
        Index("journal_undelivered", "job_id", "delivered"),
        Index("journal_revision", "job_id", "revision"),
    )

    study: Mapped[str] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    time_ms: Mapped[int] = mapped_column(BigInteger)
    metrics: Mapped[str]
    """JSON; NaN and Infinity may occur, so it is text and not a JSON column."""
    verdict: Mapped[str]
    """continue, complete, diverged, pruned or budget: what followed from this epoch."""
    pruner: Mapped[str]
    """JSON of what the pruner remembers of this trial after this epoch."""
    delivered: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(default=0)
    """The job's, when the row was written."""

    @property
    def key(self) -> RunKey:
        """Whose it is."""
        return self.study, self.trial


UNTOLD = "RUNNING//0/"
"""`Run.told` of a run of which nothing is to be said but that it runs."""


class Run(Base):
    """What the MLflow run of a trial (or of the job, `PARENT`) should be, and what it is."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_job", "job_id"),)

    study: Mapped[str] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    name: Mapped[str]
    parameters: Mapped[str]
    """JSON of the parameters to log."""
    status: Mapped[str]
    """MLflow's: RUNNING, FINISHED, KILLED or FAILED."""
    tag: Mapped[str | None]
    """Why a run did not finish: pruned, diverged, budget, interrupted or failed."""
    reason: Mapped[str | None]
    """Traceback or sentence behind a failure."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Workers that the trial has lost."""
    started_ms: Mapped[int] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[str | None]
    delivered: Mapped[str | None]
    """`told` as MLflow knows it."""
    revision: Mapped[int] = mapped_column(default=0)
    """The job's, when status or worker last changed."""
    worker: Mapped[str | None]
    """Name of the machine on which the trial was last trained."""
    precision: Mapped[str | None]
    """What the trial is computed in: float32 or bfloat16; None before its first epoch."""

    @property
    def key(self) -> RunKey:
        """Whose it is."""
        return self.study, self.trial

    @hybrid_property
    def told(self) -> str:
        """All that a run should show in one, to compare with what was delivered."""
        return f"{self.status}/{self.tag or ''}/{self.attempts}/{self.ended_ms or ''}"

    @told.inplace.expression
    @classmethod
    def _told(cls) -> ColumnElement[str]:
        tag = func.coalesce(cls.tag, "")
        ended = func.coalesce(cast(cls.ended_ms, String), "")
        return cls.status + "/" + tag + "/" + cast(cls.attempts, String) + "/" + ended

    @hybrid_property
    def is_undelivered(self) -> bool:
        """Whether MLflow does not know this status yet."""
        return self.delivered != self.told

    @is_undelivered.inplace.expression
    @classmethod
    def _is_undelivered(cls) -> ColumnElement[bool]:
        return or_(cls.delivered.is_(None), cls.delivered != cls.told)


class Token(Base):
    """A secret by which its owner may use the service over a network."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    role: Mapped[str]
    """view, launch or admin."""
    digest: Mapped[str]
    """SHA-256 of the secret, which itself is kept nowhere."""
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
