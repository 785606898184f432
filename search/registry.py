"""The champion in MLflow's model registry, and the report on the parent run."""

import json
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from search.champion import Result, beats
from search.delivery import Delivery
from search.home import Home
from search.models import load_champion
from search.report import html_page, markdown
from search.store import PARENT, Job, Run, Store
from search.tracking import JOB_TAG, Tracking

FINGERPRINT_TAG = "gatetune.fingerprint"
METRIC_TAG = "gatetune.metric"
VALIDATION_TAG = "gatetune.validation"


@dataclass(frozen=True)
class Incumbent:
    """The present champion of a model's name, as its version's tags describe it."""

    version: str
    job_id: str
    fingerprint: str
    metric: str
    validation: tuple[float, ...]

    @classmethod
    def of(cls, version: ModelVersion) -> "Incumbent":
        """Read a registered version's tags."""
        tags = version.tags
        return cls(
            version=str(version.version),
            job_id=tags.get(JOB_TAG, ""),
            fingerprint=tags.get(FINGERPRINT_TAG, ""),
            metric=tags.get(METRIC_TAG, ""),
            validation=tuple(json.loads(tags.get(VALIDATION_TAG, "[]"))),
        )


def decide(result: Result, fingerprint: str, present: Incumbent | None) -> tuple[str, str]:
    """Return the alias that a new version gets, champion or challenger, and why.

    Only validation results of the same data can promote; the test part decides nothing.
    """
    if result.beats_baseline is False:
        return "challenger", "it does not beat the baseline on the validation part"
    over = (
        "it beats the baseline on the validation part"
        if result.baselines
        else "there is no baseline"
    )
    if present is None:
        return "champion", f"{over}, and there was no champion before"
    before = f"the present champion, version {present.version}"
    if present.fingerprint != fingerprint:
        return "challenger", f"{before}, was chosen on other data or another split of it"
    if present.metric != result.metric:
        return "challenger", f"{before}, was chosen by {present.metric}, not {result.metric}"
    if beats(result.chosen.validation, present.validation, result.direction):
        return "champion", f"{over}, and {before}, on the same data"
    return "challenger", f"it does not beat {before}, on the same data"


def publish(home: Home, store: Store, job_id: str, folder: Path) -> dict[str, Any] | None:
    """Register a job's champion, log its report, and return the model as ``show`` prints it.

    Doing it again finds the version that is there. Returns None where the job found nothing.
    """
    quiet()
    with store.session() as session:
        job = session.get_one(Job, job_id)
        parent = session.get_one(Run, (job_id, PARENT))
    if job.result is None or parent.run_id is None:
        return None
    result = Result.model_validate_json(job.result)
    fingerprint = json.loads(job.dataset or "{}")["fingerprint"]
    tracking = Tracking(home, job_id, job.name)
    version = registered(tracking, job)
    if version is None:
        present = incumbent(tracking, job.name)
        alias, reason = decide(result, fingerprint, present)
        version = register(home, parent.run_id, job.name, folder / "champion")
        tags = {
            FINGERPRINT_TAG: fingerprint,
            METRIC_TAG: result.metric,
            VALIDATION_TAG: json.dumps(result.chosen.validation),
            "gatetune.alias": alias,
            "gatetune.reason": reason,
            JOB_TAG: job_id,
        }
        for key, value in tags.items():
            tracking.client.set_model_version_tag(job.name, version.version, key, value)
        tracking.client.set_registered_model_alias(job.name, alias, version.version)
    else:
        alias, reason = version.tags["gatetune.alias"], version.tags["gatetune.reason"]
    model = {
        "name": job.name, "version": str(version.version), "alias": alias, "reason": reason
    }  # fmt: skip
    log_report(tracking, parent.run_id, store, job, result, model)
    return model


def registered(tracking: Tracking, job: Job) -> ModelVersion | None:
    """Return the version that this job registered before, if any."""
    found = tracking.client.search_model_versions(f"name = '{job.name}'")
    return next((version for version in found if version.tags.get(JOB_TAG) == job.id), None)


def incumbent(tracking: Tracking, name: str) -> Incumbent | None:
    """Return the present champion of a name, if there is one."""
    try:
        return Incumbent.of(tracking.client.get_model_version_by_alias(name, "champion"))
    except MlflowException:
        return None


def register(home: Home, parent_run_id: str, name: str, folder: Path) -> ModelVersion:
    """Log the model of a champion's folder to the parent run and register it."""
    model, example = load_champion(folder)
    outputs = model(example).detach().numpy()
    signature = ModelSignature(
        inputs=Schema([TensorSpec(example.numpy().dtype, (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(outputs.dtype, (-1, *outputs.shape[1:]))]),
    )
    mlflow.set_tracking_uri(home.tracking_uri)
    mlflow.set_registry_uri(home.tracking_uri)
    with mlflow.start_run(run_id=parent_run_id):
        logged = mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=example.numpy(),
            serialization_format="pt2",
            # Found by inference otherwise, in a process that imports this project for seconds.
            pip_requirements=[
                f"torch=={torch_release()}",
                f"mlflow=={mlflow.__version__}",
                "numpy",
            ],
            registered_model_name=name,
        )
        mlflow.log_artifacts(str(folder), "champion")
    client = mlflow.MlflowClient(home.tracking_uri, home.tracking_uri)
    return client.get_model_version(name, str(logged.registered_model_version))


def torch_release() -> str:
    """Return torch's version without the local part that says how it was built."""
    import torch

    return str(torch.__version__).split("+")[0]


def log_report(  # noqa: PLR0913 - what a report is made of
    tracking: Tracking, run_id: str, store: Store, job: Job, result: Result, model: dict[str, Any]
) -> None:
    """Put the answer on the parent run: as its description and as a page."""
    text = markdown(job, result, model)
    tracking.client.set_tag(run_id, "mlflow.note.content", text)
    tracking.client.log_text(run_id, text, "report.md")
    tracking.client.log_text(run_id, html_page(store, job, result, model), "report.html")
    finals = {"champion_validation": result.chosen.validation, "champion_test": result.chosen.test}
    for name, values in finals.items():
        if values:
            tracking.client.log_metric(run_id, name, sum(values) / len(values))


def deliver_rest(home: Home, store: Store, job_id: str) -> None:
    """Deliver in this process what a drained delivery process no longer could."""
    with store.session() as session:
        name = session.get_one(Job, job_id).name
    delivery = Delivery(store, job_id, Tracking(home, job_id, name))
    delivery.start()
    while delivery.deliver():
        pass


def quiet() -> None:
    """Keep MLflow's progress bars and hints out of a person's terminal."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="mlflow")
