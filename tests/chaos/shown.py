"""What MLflow must show of a finished job."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from search.common.trial import state_of
from search.database.result import Result
from search.database.tables import PARENT, RunKey
from tests.chaos.finding import Finding
from tests.chaos.record import Record

STATUS = {
    "complete": ("FINISHED", set()),
    "pruned": ("KILLED", {"pruned"}),
    "budget": ("KILLED", {"budget"}),
    "diverged": ("FAILED", {"diverged"}),
    "failed": ("FAILED", {"failed"}),
}
"""For each way that a trial ends, its run's status and the tags that say why."""

OUTCOMES = {"pruned", "budget", "diverged", "failed", "interrupted"}

FILES = {"report.html", "report.md", "job.yaml", "packages.txt", "champion"}
"""Artifacts of the parent run."""


def examine_mlflow(url: str, record: Record) -> Iterator[Finding]:
    """Yield what MLflow shows other than the study has it."""
    client = MlflowClient(url, url)
    experiment = client.get_experiment_by_name(record.job.name)
    if experiment is None:
        yield Finding("orphaned", "there is no experiment")
        return
    tag = f"tags.`gatetune.job` = '{record.job.id}'"
    runs = client.search_runs([experiment.experiment_id], tag, max_results=1000)
    keys = {(record.job.id, PARENT), *record.trials}
    found: dict[RunKey, MlflowRun] = {}
    for run in runs:
        tags = run.data.tags
        key = (tags.get("gatetune.study", ""), int(tags.get("gatetune.trial", PARENT)))
        if key not in keys or key in found:
            yield Finding("orphaned", f"run {run.info.run_id} of {key} is one too many")
            continue
        found[key] = run
    for key in keys - found.keys():
        yield Finding("orphaned", f"{key} has no run")
    parent = found.get((record.job.id, PARENT))
    for key, run in found.items():
        if run is parent:
            yield from examine_parent(client, run, record)
        else:
            yield from examine_run(run, key, record, parent)
        yield from examine_metrics(client, run, key, record)
    yield from examine_model(client, experiment.experiment_id, record)


def examine_run(
    run: MlflowRun, key: RunKey, record: Record, parent: MlflowRun | None
) -> Iterator[Finding]:
    """A trial's run has its status, its parameters, its parent, and is the one that is listed."""
    trial, tags = record.trials[key], run.data.tags
    shown = (run.info.status, OUTCOMES & set(tags))
    if shown != STATUS.get(state_of(trial)):
        yield Finding("orphaned", f"the run of {key} shows {shown}, but is {state_of(trial)}")
    config = record.spec.config_of(trial).model_dump()
    parameters = {k: str(v) for k, v in (config | {"seed": trial.user_attrs["seed"]}).items()}
    if run.data.params != parameters:
        yield Finding("orphaned", f"the run of {key} has {run.data.params}, not {parameters}")
    if parent is None or tags.get("mlflow.parentRunId") != parent.info.run_id:
        yield Finding("orphaned", f"the run of {key} has another parent")
    listed = [row for row in record.listed if (row["study"], row["trial"]) == key]
    if [row["mlflow_run_id"] for row in listed] != [run.info.run_id]:
        yield Finding("orphaned", f"`trials` lists {listed} for {key}, not {run.info.run_id}")


def examine_parent(client: MlflowClient, run: MlflowRun, record: Record) -> Iterator[Finding]:
    """The parent run is finished, has its files and its step for each trial."""
    shown = (run.info.status, OUTCOMES & set(run.data.tags))
    if shown != ("FINISHED", set()):
        yield Finding("orphaned", f"the parent run shows {shown}")
    missing = FILES - {file.path for file in client.list_artifacts(run.info.run_id)}
    if missing:
        yield Finding("other", f"the parent run lacks {sorted(missing)}")
    if record.shown["mlflow_parent_run_id"] != run.info.run_id:
        yield Finding("orphaned", f"`show` names another parent run than {run.info.run_id}")
    steps = [row.epoch for row in record.journal.get((record.job.id, PARENT), [])]
    if steps != list(range(1, record.spec.budget.trials + 1)):
        yield Finding("epochs", f"the parent run has a step for the ended trials {steps}")


def examine_metrics(
    client: MlflowClient, run: MlflowRun, key: RunKey, record: Record
) -> Iterator[Finding]:
    """Each epoch stands in MLflow once for each of its metrics, as the journal has it."""
    wanted: Counter[tuple[str, int, str]] = Counter(
        (name, row.epoch, repr(float(value)))
        for row in record.journal.get(key, [])
        for name, value in json.loads(row.metrics).items()
        if not math.isinf(value)
    )
    names = {name for name, _, _ in wanted} | {
        name for name in run.data.metrics if not name.startswith(("champion_", "baseline_"))
    }
    found: Counter[tuple[str, int, str]] = Counter(
        (name, metric.step, repr(float(metric.value)))
        for name in names
        for metric in client.get_metric_history(run.info.run_id, name)
    )
    for what in wanted - found:
        yield Finding("epochs", f"MLflow lacks {what} of {key}")
    for what in found - wanted:
        yield Finding("epochs", f"MLflow has {what} of {key} once too often")


def examine_model(client: MlflowClient, experiment_id: str, record: Record) -> Iterator[Finding]:
    """There is one registered version of the job, of one logged model, and it is the champion."""
    job = record.job
    found: list[Any] = client.search_model_versions(f"name = '{job.name}'")
    if len(found) != 1:
        yield Finding("other", f"{len(found)} versions of the model are registered")
        return
    version = found[0]
    models = [f"models:/{m.model_id}" for m in client.search_logged_models([experiment_id])]
    if models != [version.source]:
        yield Finding("other", f"the logged models are {models}, not {version.source} alone")
    chosen = Result.model_validate_json(job.result).chosen if job.result else None
    tag = tuple(json.loads(version.tags.get("gatetune.validation", "[]")))
    if chosen is None or tag != chosen.validation:
        yield Finding("other", f"the registered version has {tag}, the champion is {chosen}")
    model = record.shown["model"]
    alias = client.get_model_version_by_alias(job.name, model["alias"])
    if (model["version"], alias.version) != (str(version.version), str(version.version)):
        yield Finding("other", f"`show` names {model}, but version {version.version} is registered")
