"""What MLflow shows of one job, read without writing anything there."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mlflow.artifacts import list_artifacts
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from search.common.background import threads
from search.common.home import Home
from search.database.tables import RunKey
from search.tracking.tracking import Tracking, key_of
from search.upkeep.doctor.record import Record
from search.winner.champions import every_version, made_by

THREADS = 8
"""Histories that are read at once; one request each."""

MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers where the name or the alias is not there."""

NOTHING = ""
"""Experiment id where MLflow has no experiment of the job's name."""

Watch = Callable[[int, int], None]
"""Told how many histories of how many have been read."""

History = dict[str, list[Metric]]
"""Every value that a run has of each metric."""


class View(Tracking):
    """MLflow as `Tracking` sees it, but nothing is created or restored."""

    def find_experiment(self, name: str, home: Home) -> str:  # noqa: ARG002 - the base's
        """Return the id of the experiment ``name``, or `NOTHING`."""
        found = self.client.get_experiment_by_name(name)
        return NOTHING if found is None else str(found.experiment_id)


@dataclass
class Shown:
    """One job as MLflow has it."""

    runs: dict[RunKey, list[MlflowRun]] = field(default_factory=dict)
    """Runs of trials that the job's rows know, oldest first."""
    strays: list[MlflowRun] = field(default_factory=list)
    """Runs with the job's tag that are no trial's."""
    deleted: set[str] = field(default_factory=set)
    """Ids of runs that our rows name and a person deleted."""
    histories: dict[str, History] = field(default_factory=dict)
    artifacts: set[str] = field(default_factory=set)
    """Top level of the parent run's."""
    versions: list[ModelVersion] = field(default_factory=list)
    """Of the job's registered name, those of other jobs too."""
    aliases: dict[str, str] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    """Ids of the models that the parent run has logged."""
    gone: set[str] = field(default_factory=set)
    """Versions of the job whose model is not there, so that nobody can load them."""
    bare: str | None = None
    """Where the experiment's artifacts should be, if nothing at all is there."""

    def run_of(self, record: Record, key: RunKey) -> MlflowRun | None:
        """Return the run of a trial: the one in our database; the oldest while none is there."""
        runs, row = self.runs.get(key, []), record.runs.get(key)
        if row is None or row.run_id is None:
            return runs[0] if runs else None
        return next((run for run in runs if run.info.run_id == row.run_id), None)

    def history(self, record: Record, key: RunKey) -> History:
        """Return all that MLflow has of a trial's metrics."""
        run = self.run_of(record, key)
        return {} if run is None else self.histories.get(run.info.run_id, {})


def read_shown(home: Home, record: Record, watch: Watch) -> Shown:
    """Read what MLflow has of a job.

    Raises:
        MlflowException, requests.RequestException, OSError, SQLAlchemyError, sqlite3.Error: it
            does not answer, or its file is damaged.
    """
    shown = Shown()
    if home.is_untracked:
        return shown
    view = View(home, record.job.id, record.job.name)
    if view.experiment_id != NOTHING:
        sort_runs(view, record, shown)
        read_histories(view, shown, watch)
    parent = shown.run_of(record, record.parent)
    if parent is not None:
        listed = view.client.list_artifacts(parent.info.run_id)
        shown.artifacts = {file.path for file in listed}
        logged = view.client.search_logged_models(
            [view.experiment_id], filter_string=f"source_run_id = '{parent.info.run_id}'"
        )
        shown.models = {model.model_id for model in logged}
    if record.job.result is not None:
        read_versions(view, record.job.name, shown)
        ours = made_by(record.job.id, shown.versions)
        shown.gone = {str(one.version) for one in ours if not is_loadable(view, one)}
        if shown.gone and view.experiment_id != NOTHING:
            root = view.client.get_experiment(view.experiment_id).artifact_location
            there = list_artifacts(artifact_uri=root, tracking_uri=home.tracking_uri)
            shown.bare = None if there else root
    return shown


def sort_runs(view: View, record: Record, shown: Shown) -> None:
    """Find the runs of the job, and whose each is."""
    ours = {row.run_id: key for key, row in record.runs.items() if row.run_id is not None}
    active = set()
    for run in view.runs():
        active.add(run.info.run_id)
        key = ours.get(run.info.run_id, key_of(run))
        if key in record.runs or key in record.trials:
            shown.runs.setdefault(key, []).append(run)
        else:
            shown.strays.append(run)
    for row in record.runs.values():
        if row.run_id is not None and row.run_id not in active and is_deleted(view, row.run_id):
            shown.deleted.add(row.run_id)


def is_deleted(view: View, run_id: str) -> bool:
    """Whether MLflow still has a run that was deleted."""
    try:
        return bool(view.client.get_run(run_id).info.lifecycle_stage == "deleted")
    except MlflowException as error:
        if error.error_code in MISSING:
            return False
        raise


def model_id(version: ModelVersion) -> str | None:
    """Return the logged model of a version; only its source names it."""
    source = str(version.source)
    return source.removeprefix("models:/") if source.startswith("models:/") else None


def is_loadable(view: View, version: ModelVersion) -> bool:
    """Whether the model of a version is there, with its files."""
    known = model_id(version)
    if known is None:
        return True  # not registered by us, and somewhere else
    try:
        view.client.get_logged_model(known)
        files = view.client.list_logged_model_artifacts(known)
    except MlflowException as error:
        if error.error_code in MISSING:
            return False
        raise
    return "MLmodel" in {file.path for file in files}


def read_histories(view: View, shown: Shown, watch: Watch) -> None:
    """Read every value of every metric of every run."""
    wanted = [
        (run.info.run_id, name)
        for runs in shown.runs.values()
        for run in runs
        for name in run.data.metrics
    ]

    def read(one: tuple[str, str]) -> list[Metric]:
        return list(view.client.get_metric_history(*one))

    watch(0, len(wanted))
    with threads(THREADS) as pool:
        for done, ((run_id, name), history) in enumerate(
            zip(wanted, pool.map(read, wanted), strict=True), start=1
        ):
            shown.histories.setdefault(run_id, {})[name] = history
            watch(done, len(wanted))


def read_versions(view: View, name: str, shown: Shown) -> None:
    """Read the registered versions of a name and its aliases."""
    shown.versions = every_version(view.client, name)
    try:
        aliases = view.client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code not in MISSING:
            raise
    else:
        shown.aliases = {alias: str(version) for alias, version in aliases.items()}
