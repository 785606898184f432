"""The steps that mend findings. Each may be taken again, and changes nothing then."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from search.database.tables import RunKey
from trainables.folder import Item

Repair = Literal["redeliver", "requeue", "close", "delete", "restore"]
"""What a person reads of a step."""


@dataclass(frozen=True)
class Step:
    """Base of all; ``repair`` is its kind."""

    repair: ClassVar[Repair]


@dataclass(frozen=True)
class Requeue(Step):
    """Read a study as a driver does: running trials wait then, ended ones are told as ended."""

    repair: ClassVar[Repair] = "requeue"
    study: str


@dataclass(frozen=True)
class StopJob(Step):
    """Write that a job whose driver died is stopped."""

    repair: ClassVar[Repair] = "close"


@dataclass(frozen=True)
class DropLease(Step):
    """Free a lease that nobody renews; any repair does, since it takes the lease first."""

    repair: ClassVar[Repair] = "close"


@dataclass(frozen=True)
class EndProcess(Step):
    """Kill a process that outlived its driver."""

    repair: ClassVar[Repair] = "close"
    pid: int
    born: str


@dataclass(frozen=True)
class DeleteRun(Step):
    """Delete an MLflow run that is no trial's, or one too many."""

    repair: ClassVar[Repair] = "close"
    run_id: str


@dataclass(frozen=True)
class RewriteRow(Step):
    """Write again what MLflow shall be told of a trial, from the study."""

    repair: ClassVar[Repair] = "redeliver"
    key: RunKey


@dataclass(frozen=True)
class SendAgain(Step):
    """Deliver all of a trial again; what MLflow has already stays as it is."""

    repair: ClassVar[Repair] = "redeliver"
    key: RunKey


@dataclass(frozen=True)
class FindRun(Step):
    """Take a run back from MLflow's deleted ones; where it is not there, deliver a new one."""

    repair: ClassVar[Repair] = "redeliver"
    key: RunKey
    run_id: str


@dataclass(frozen=True)
class RenewRun(Step):
    """Delete a run, whose metrics and parameters MLflow never changes, and deliver a new one."""

    repair: ClassVar[Repair] = "redeliver"
    key: RunKey
    run_id: str


@dataclass(frozen=True)
class SetTag(Step):
    """Set a tag of a run."""

    repair: ClassVar[Repair] = "redeliver"
    run_id: str
    tag: str
    value: str


@dataclass(frozen=True)
class Publish(Step):
    """Register the champion and log the report, as far as that is not done."""

    repair: ClassVar[Repair] = "redeliver"


@dataclass(frozen=True)
class RenewVersion(Step):
    """Register the champion anew, in place of a version whose model is gone."""

    repair: ClassVar[Repair] = "redeliver"
    version: str


@dataclass(frozen=True)
class SetAlias(Step):
    """Let an alias of the registered model point to a version."""

    repair: ClassVar[Repair] = "redeliver"
    alias: str
    version: str


@dataclass(frozen=True)
class SetVersionTag(Step):
    """Set a tag of a registered version."""

    repair: ClassVar[Repair] = "redeliver"
    version: str
    tag: str
    value: str


@dataclass(frozen=True)
class LogChampion(Step):
    """Put the champion's files on the parent run."""

    repair: ClassVar[Repair] = "redeliver"


@dataclass(frozen=True)
class RestoreEpoch(Step):
    """Write an epoch of the journal again, from what there still is of it."""

    repair: ClassVar[Repair] = "restore"
    key: RunKey
    epoch: int
    time_ms: int
    metrics: str
    verdict: str
    pruner: str
    source: str
    """Where the metrics come from: the journal, MLflow or the study, which has the objective."""


@dataclass(frozen=True)
class RestoreChampion(Step):
    """Fetch the champion's files from the parent run."""

    repair: ClassVar[Repair] = "restore"


@dataclass(frozen=True)
class Delete(Step):
    """Delete a file or a folder."""

    repair: ClassVar[Repair] = "delete"
    item: Item
