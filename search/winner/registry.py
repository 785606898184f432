"""The champion in MLflow's model registry, and the report on the parent run."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import mlflow
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils import requirements_utils

from search.common.home import Home
from search.common.patching import replaced
from search.database.result import SURE, Gain, Result
from search.database.store import Store
from search.database.tables import PARENT, Job, Run
from search.report.report import report
from search.tracking.tracking import JOB_TAG, Tracking
from search.winner.champions import (
    ALIAS_TAG,
    CHAMPION,
    CLAIMS_TAG,
    FINGERPRINT_TAG,
    GAIN_TAG,
    INTERVAL_TAG,
    METRIC_TAG,
    REASON_TAG,
    SEEDS_TAG,
    TEST_TAG,
    VALIDATION_TAG,
    bearer,
    claim,
    every_version,
    model_of,
    settle,
    versions_of,
    written,
)
from search.winner.comparing import CPU, UNKNOWN, lead
from search.winner.fetching import ANSWERS, champion_folder, copy_champion
from search.winner.models import load_saved
from search.winner.program import log_program
from trainables.device import one_thread
from trainables.folder import Folder
from trainables.goals import plain_goal

ABOUT = (
    "Winners of the jobs called {name}. `champion` is the one that became it last, by its job or "
    "by a person; `challenger` the newest that its job did not make champion. Tags say why."
)

DESCRIPTION = 5000
"""Characters that MLflow's table of versions has for a description."""

MORE = "\n\n… The whole card is README.md among the files of the model.\n"


@dataclass(frozen=True)
class Incumbent:
    """The present champion of a model's name, as its version's tags describe it."""

    version: str
    job_id: str
    fingerprint: str
    metric: str
    run_id: str
    """Of the run whose artifacts have its files."""

    @classmethod
    def of(cls, version: ModelVersion) -> "Incumbent":
        """Read a registered version's tags."""
        tags = version.tags
        return cls(
            version=str(version.version),
            job_id=tags.get(JOB_TAG, ""),
            fingerprint=tags.get(FINGERPRINT_TAG, ""),
            metric=tags.get(METRIC_TAG, ""),
            run_id=str(version.run_id),
        )


def decide(
    result: Result, fingerprint: str, present: Incumbent | None, lead: Callable[[], Gain | str]
) -> tuple[str, str]:
    """Return the alias that a new version gets, champion or challenger, and why.

    Only validation results of the same data can promote; the test part decides nothing.

    Args:
        result: of its job.
        fingerprint: of its data.
        present: the present champion.
        lead: how much better than that one it is, or why that cannot be known.
    """
    if result.beats_baseline is False:
        return "challenger", why_not(result)
    over = (
        "it beats the baseline on the validation part"
        if result.baselines
        else "there is no baseline"
    )
    if present is None:
        return "champion", f"{over}, and there was no champion before"
    before = f"the present champion, version {present.version}"
    if (reason := incomparable(result, fingerprint, present)) is not None:
        return "challenger", f"{before}, {reason}"
    gain = lead()
    if isinstance(gain, str):
        return "challenger", f"{before}, cannot be compared with: {gain}"
    # It is the best of several that were compared on this very part.
    if 1 - gain.probability < SURE / (1 + len(result.others)):
        return "champion", f"{over}, and {before}, on the same data"
    return "challenger", f"it does not surely beat {before}, on the same data"


def incomparable(result: Result, fingerprint: str, present: Incumbent) -> str | None:
    """Return why the present champion cannot be held against a result, None where it can."""
    if present.fingerprint != fingerprint:
        return "was chosen on other data or another split of it"
    if present.metric != result.metric:
        return f"was chosen by {present.metric}, not {result.metric}"
    return None


def why_not(result: Result) -> str:
    """Return why the chosen configuration does not beat the baseline."""
    if result.lost_baseline:
        return "the baseline did not complete, so that there is nothing to beat"
    if result.chosen.baseline:
        if result.is_alone:
            return "it is itself a baseline, and no other trial was there to be compared"
        return "it is itself a baseline: nothing that was found is better"
    if result.chance is None:
        rival = result.rival
        if rival is not None and min(len(result.chosen.runs), len(rival.runs)) > 1:
            return "a single validation sequence is sure of nothing"
        return "a single run is sure of nothing: `confirm` has it trained again with other seeds"
    return "it does not surely beat the baseline on the validation part"


def lead_over(present: Incumbent, tracking: Tracking, folder: Folder, result: Result) -> Gain | str:
    """Return how much better a new champion is than the present one, or why none knows."""
    try:
        kept = tracking.client.list_artifacts(present.run_id, "champion")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # MLflow is away, and will be asked again
        return UNKNOWN  # a person has deleted the run
    if f"champion/{ANSWERS}" not in {one.path for one in kept}:
        return UNKNOWN
    with quiet(), TemporaryDirectory() as copy:
        path = tracking.client.download_artifacts(present.run_id, f"champion/{ANSWERS}", copy)
        theirs = Path(path).read_bytes()
    goal = plain_goal(load_saved(folder).targets, CPU)
    return lead(folder.read(ANSWERS), theirs, goal, result)


def publish(home: Home, store: Store, job_id: str) -> dict[str, Any] | None:
    """Register a job's champion, log its report, and return the model as ``show`` prints it.

    Doing it again finds what is there. Returns None where the job found nothing.
    """
    with store.session() as session:
        job = session.get_one(Job, job_id)
        parent = session.get_one(Run, (job_id, PARENT))
    result = job.found
    if result is None or parent.run_id is None:
        return None
    tracking = Tracking(home, job_id, job.name)
    if not versions_of(tracking.client, job.name, job.id):
        with fluent(home.tracking_uri):
            register(tracking, parent.run_id, job, result, champion_folder(home, job.id))
    version, *doubles = versions_of(tracking.client, job.name, job.id)
    for double in doubles:  # of a request that was repeated
        tracking.client.delete_model_version(job.name, double.version)
    # Only the source names the logged model: the registry answers None for `model_id`.
    kept = str(version.source).removeprefix("models:/")
    delete_models(tracking, parent.run_id, keep=kept)  # of attempts that were cut short
    settle(tracking.client, job.name)
    told: dict[str, Any] = {}
    while told != (model := model_of(version)):
        log_report(tracking, parent.run_id, store, job, result, model)
        # Which takes seconds, in which a person may have promoted it.
        told, version = model, tracking.client.get_model_version(job.name, version.version)
    return model


def renew(home: Home, store: Store, job_id: str, version: str) -> None:
    """Register a job's champion anew in place of a version whose model is gone.

    What was decided about that one, be it by hand, is decided about the new one.
    """
    with store.session() as session:
        job = session.get_one(Job, job_id)
        parent = session.get_one(Run, (job_id, PARENT))
    result = job.found
    if result is None or parent.run_id is None:
        return
    tracking = Tracking(home, job_id, job.name)
    tags = tracking.client.get_model_version(job.name, version).tags
    kept = {name: tags[name] for name in (ALIAS_TAG, REASON_TAG, CLAIMS_TAG) if name in tags}
    with fluent(home.tracking_uri):
        register(tracking, parent.run_id, job, result, champion_folder(home, job.id), kept)
    tracking.client.delete_model_version(job.name, version)


def delete_models(tracking: Tracking, run_id: str, *, keep: str | None = None) -> None:
    """Delete the models that a run has logged, but for one to keep."""
    found = tracking.client.search_logged_models(
        [tracking.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    for model in found:
        if model.model_id != keep:
            tracking.client.delete_logged_model(model.model_id)


def register(  # noqa: PLR0913 - what a version is made of
    tracking: Tracking,
    run_id: str,
    job: Job,
    result: Result,
    folder: Folder,
    kept: dict[str, str] | None = None,
) -> None:
    """Make a version of the champion, whose tags say what it is and what was decided about it.

    Args:
        tracking: of the job.
        run_id: of its parent run.
        job: the job.
        result: what it found.
        folder: of the champion.
        kept: the tags of what was decided before; without them it is decided now.
    """
    client = tracking.client
    fingerprint = job.data["fingerprint"]

    def present(before: int | None = None) -> Incumbent | None:
        """Return the champion, of the versions before one; whatever the alias says so far."""
        versions = every_version(client, job.name)
        known = [one for one in versions if before is None or int(one.version) < before]
        found = bearer(CHAMPION, known)
        return Incumbent.of(found) if found else None

    def decided(incumbent: Incumbent | None) -> dict[str, str]:
        """Return the tags that say what becomes of the version beside the champion."""
        alias, reason = decide(
            result,
            fingerprint,
            incumbent,
            lambda: lead_over(incumbent, tracking, folder, result) if incumbent else UNKNOWN,
        )
        claims = {CLAIMS_TAG: written([claim(reason)])} if alias == CHAMPION else {}
        return {ALIAS_TAG: alias, REASON_TAG: reason} | claims

    model_id = log_model(run_id, folder)  # takes seconds, in which others may become champion
    create_name(tracking, job.name)
    incumbent = present()
    tags = kept or decided(incumbent)
    made = client.create_model_version(
        job.name,
        f"models:/{model_id}",
        run_id=run_id,
        model_id=model_id,
        description=shortened(folder.read("README.md").decode()),
        tags={
            JOB_TAG: job.id,
            FINGERPRINT_TAG: fingerprint,
            METRIC_TAG: result.metric,
            VALIDATION_TAG: json.dumps(result.chosen.validation),
            TEST_TAG: json.dumps(result.chosen.test),
            INTERVAL_TAG: json.dumps(result.chosen.test_interval),
            SEEDS_TAG: str(len(result.chosen.runs)),
            GAIN_TAG: json.dumps(result.gain and result.gain.model_dump()),
            **tags,
        },
    )
    if kept:
        return
    # Of two jobs that end at once the later version is the one that is compared with the other.
    rival = present(before=int(made.version))
    if rival is not None and (incumbent is None or rival.version != incumbent.version):
        again = decided(rival)
        for name, value in again.items():
            client.set_model_version_tag(job.name, made.version, name, value)
        for name in tags.keys() - again.keys():
            client.delete_model_version_tag(job.name, made.version, name)


def shortened(card: str) -> str:
    """Return a model's card, cut where MLflow's table has no room for more of it."""
    if len(card) <= DESCRIPTION:
        return card
    return card[: DESCRIPTION - len(MORE)].rpartition("\n")[0] + MORE


def create_name(tracking: Tracking, name: str) -> None:
    """Make the registered model ``name`` unless it is there."""
    try:
        tracking.client.create_registered_model(name, description=ABOUT.format(name=name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def log_model(run_id: str, folder: Folder) -> str:
    """Log the model and the files of a champion's folder to a run; return the model's id.

    Raises:
        FileNotFoundError: the champion is not whole.
    """
    with TemporaryDirectory() as copy:
        copy_champion(folder, Path(copy))
        return log_copy(run_id, copy)


def log_copy(run_id: str, folder: str) -> str:
    """Log the champion in a folder of this machine."""
    # Most of the time would go into a walk over all that is installed, to warn of packages that are
    # not as the model requires: what it requires is made of what is installed.
    unwarned = replaced(requirements_utils, _check_requirement_satisfied=lambda _need: None)
    with quiet(), unwarned, one_thread(), mlflow.start_run(run_id=run_id):
        logged = log_program(folder)
        mlflow.log_artifacts(folder, "champion")
    return str(logged.model_id)


def log_report(  # noqa: PLR0913 - what a report is made of
    tracking: Tracking, run_id: str, store: Store, job: Job, result: Result, model: dict[str, Any]
) -> None:
    """Put the answer on the parent run: as its description and as a page."""
    job.model = json.dumps(model)  # which the row says once all of this is done
    told = report(store, job, "note", "markdown", "html")
    tracking.client.set_tag(run_id, "mlflow.note.content", told["note"])
    tracking.client.log_text(run_id, told["markdown"], "report.md")
    tracking.client.log_text(run_id, told["html"], "report.html")
    # A time of its own makes a repeat the same metric.
    tracking.log(run_id, finals(result, time_ms=int(job.created_at * 1000)))


def finals(result: Result, *, time_ms: int) -> list[Metric]:
    """Return the means that were compared, as metrics of the parent run."""
    name = result.metric.removeprefix("val_")
    sides = {"champion": result.chosen, "baseline": result.rival}
    return [
        Metric(f"{side}_{part}_{name}", sum(values) / len(values), time_ms, 0)
        for side, one in sides.items()
        if one is not None
        for part, values in (("val", one.validation), ("test", one.test))
        if values
    ]


FLUENT = Lock()
"""Held by the thread for which MLflow's functions mean a server."""


@contextmanager
def fluent(uri: str) -> Iterator[None]:
    """Let MLflow's functions that take no client mean this server while the block runs.

    MLflow writes the address into the environment, where the next job of this process would read
    it as a person's setting.
    """
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    with FLUENT:
        before = {name: value for name in names if (value := os.environ.get(name))}
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before.get(names[0]))  # type: ignore[arg-type]
            mlflow.set_registry_uri(before.get(names[1], ""))
            for name in names:
                os.environ.pop(name, None)
            os.environ.update(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep out of a person's terminal what MLflow says while all is well."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with warnings.catch_warnings():
        # As in trainables/export.py; MLflow exports the model itself.
        warnings.filterwarnings("ignore", r"The tensor attributes .*_flat_weights", UserWarning)
        # MLflow about its own modules, when they are first imported.
        warnings.filterwarnings("ignore", r".*Any type hint is inferred as AnyType", UserWarning)
        yield
