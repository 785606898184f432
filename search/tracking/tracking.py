"""MLflow, as Gatetune writes to it: every call may be repeated and leaves the same result."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from search.database.tables import RunKey

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from search.common.home import Home
from search.common.processes import user
from search.database.store import ALEMBIC
from search.database.tables import PARENT
from search.tracking.ownfile import make, prepare

logging.getLogger("mlflow").setLevel(logging.WARNING)

JOB_TAG = "gatetune.job"
STUDY_TAG = "gatetune.study"
TRIAL_TAG = "gatetune.trial"
LOST_TAG = "gatetune.workers_lost"
PRECISION_TAG = "gatetune.precision"
DELETED_TAG = "gatetune.deleted"
"""Of runs that Gatetune has deleted: MLflow takes back all others with their experiment."""
OUTCOMES = ("pruned", "diverged", "budget", "interrupted", "failed")
"""Tags that say why a run did not finish."""

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's UI show training runs; it opens on pages for language models otherwise."""

NOBODY = -2
"""Number that stands for a trial tag which is none, as a person may have edited it."""

BATCH = 1000
"""Metrics, parameters and tags that MLflow takes in one request."""


@dataclass(frozen=True)
class NewRun:
    """What a run is created with."""

    key: RunKey
    name: str
    started_ms: int
    parent_id: str | None


@dataclass(frozen=True)
class Status:
    """How a run stands."""

    name: str
    """MLflow's: RUNNING, FINISHED, KILLED or FAILED."""
    outcome: str | None
    """One of `OUTCOMES`."""
    attempts: int
    """Workers that the trial lost."""
    ended_ms: int | None
    precision: str | None = None
    """What the trial is computed in, once that is known."""

    @property
    def tags(self) -> dict[str, str]:
        """What a run's tags say of it: why it did not finish, and what it took."""
        return {
            **({self.outcome: "true"} if self.outcome else {}),
            **({LOST_TAG: str(self.attempts)} if self.attempts else {}),
            **({PRECISION_TAG: self.precision} if self.precision else {}),
        }

    def fits(self, run: Run) -> bool:
        """Whether MLflow shows a run like this."""
        outcomes = {tag for tag in OUTCOMES if tag in run.data.tags}
        return (
            run.info.status == self.name
            and (self.name == "RUNNING" or run.info.end_time == self.ended_ms)
            and outcomes == ({self.outcome} if self.outcome else set())
            and run.data.tags.get(LOST_TAG, "0") == str(self.attempts)
            and run.data.tags.get(PRECISION_TAG) == self.precision
        )


def key_of(run: Run) -> RunKey:
    """Return whose run it is."""
    tags = run.data.tags
    trial = tags.get(TRIAL_TAG, str(PARENT))
    return tags.get(STUDY_TAG, ""), int(trial) if trial.removeprefix("-").isdecimal() else NOBODY


class Tracking:
    """The runs of one job in an MLflow tracking server or file.

    Raises from every method: `MlflowException` where MLflow refuses or cannot be reached.
    """

    def __init__(self, home: Home, job_id: str, experiment: str) -> None:
        self.client = client_of(home)
        self.job_id = job_id
        self.experiment_id = self.find_experiment(experiment, home)

    def find_experiment(self, name: str, home: Home) -> str:
        """Return the id of the experiment ``name``, created where it is missing."""
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = (home.artifacts / name).as_uri() if home.embedded_tracking else None
            try:
                return str(self.client.create_experiment(name, location, KIND))
            except MlflowException:
                # Another job of this name may have created it a moment ago.
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        experiment_id = str(found.experiment_id)
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment_id)
            # With it MLflow takes back all of its runs, those of deleted jobs too.
            for run in list(self.matching(experiment_id, f"tags.`{DELETED_TAG}` = 'true'")):
                self.client.delete_run(run.info.run_id)
        return experiment_id

    def existing(self) -> dict[RunKey, list[Run]]:
        """Return the job's runs, oldest first; a repeated request may have made a second one."""
        found: dict[RunKey, list[Run]] = {}
        for run in self.runs():
            found.setdefault(key_of(run), []).append(run)
        return found

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> Iterator[Run]:
        """Yield the job's runs, oldest first; of another view also those that are deleted."""
        return self.matching(self.experiment_id, f"tags.`{JOB_TAG}` = '{self.job_id}'", view)

    def matching(
        self, experiment_id: str, condition: str, view: int = ViewType.ACTIVE_ONLY
    ) -> Iterator[Run]:
        """Yield the runs of an experiment of which a condition is true, oldest first."""
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [experiment_id],
                condition,
                run_view_type=view,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def delete(self, run_id: str) -> None:
        """Delete a run for good, even where its experiment is taken back later."""
        self.client.set_tag(run_id, DELETED_TAG, "true")
        self.client.delete_run(run_id)

    def restore(self, run_id: str) -> None:
        """Take back a run that was deleted."""
        self.client.restore_run(run_id)
        if DELETED_TAG in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, DELETED_TAG)

    def create(self, new: NewRun) -> str:
        """Create a run and return its id."""
        study, trial = new.key
        tags = {
            JOB_TAG: self.job_id,
            STUDY_TAG: study,
            **({TRIAL_TAG: str(trial)} if trial != PARENT else {}),
            "mlflow.user": user(),
            "mlflow.source.name": "gatetune",
            "mlflow.source.type": "JOB",
            **({"mlflow.parentRunId": new.parent_id} if new.parent_id else {}),
        }
        run = self.client.create_run(
            self.experiment_id, start_time=new.started_ms, tags=tags, run_name=new.name
        )
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        parameters: Mapping[str, Any] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Tell what a run has, in as few requests as MLflow's limit allows; in none if nothing.

        Args:
            run_id: the run.
            metrics: of its epochs.
            parameters: which MLflow never changes afterwards.
            tags: which replace those of the same name.
        """
        params = [Param(key, str(value)) for key, value in parameters.items()]
        marks = [RunTag(key, value) for key, value in tags.items()]
        room = BATCH - len(params) - len(marks)
        if params or marks or metrics:
            self.client.log_batch(run_id, metrics[:room], params, marks)
        for start in range(room, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics[start : start + BATCH])

    def log_dataset(self, run_id: str, dataset: dict[str, Any], profile: str) -> None:
        """Record the data set as an input of a run."""
        entity = Dataset(
            name=dataset["name"],
            digest=dataset["fingerprint"][:16],
            source_type="gatetune",
            source=dataset["name"],
            profile=profile,
        )
        context = InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, [DatasetInput(entity, [context])])

    def set_status(self, run_id: str, status: Status) -> None:
        """Set a run's status, last of all: what its tags say of it is told before."""
        if status.name == "RUNNING":
            self.client.update_run(run_id, status=status.name)
        else:
            self.client.set_terminated(run_id, status=status.name, end_time=status.ended_ms)

    def clear_outcome(self, run_id: str) -> None:
        """Take back what the run said before."""
        tags = self.client.get_run(run_id).data.tags
        for tag in (*OUTCOMES, LOST_TAG, PRECISION_TAG):
            if tag in tags:
                self.client.delete_tag(run_id, tag)


def client_of(home: Home) -> MlflowClient:
    """Return a client of the installation's runs and registry."""
    if not home.embedded_tracking:
        return MlflowClient(tracking_uri=home.tracking_uri, registry_uri=home.tracking_uri)
    with ALEMBIC:  # with which MLflow makes its tables
        make(home.tracking_path, home.artifacts.as_uri())
        prepare(home)
        return MlflowClient(tracking_uri=home.tracking_uri, registry_uri=home.tracking_uri)
