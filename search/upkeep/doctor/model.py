"""The registered model against the job: one version, its tags, its alias."""

import json
from collections.abc import Iterator

from mlflow.entities.model_registry import ModelVersion

from search.upkeep.doctor.champion import is_study_s
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import Record, read_object
from search.upkeep.doctor.shown import Shown, model_id
from search.upkeep.doctor.steps import Publish, RenewVersion, SetAlias, SetVersionTag
from search.winner.champions import (
    ALIAS_TAG,
    ALIASES,
    FINGERPRINT_TAG,
    METRIC_TAG,
    TEST_TAG,
    VALIDATION_TAG,
    bearer,
    made_by,
)

SUBJECT = "model"


def examine_model(record: Record, shown: Shown) -> Iterator[Finding]:
    """Yield where MLflow's registry and the job differ."""
    job, result = record.job, record.result
    if result is None:
        if job.result is None and job.model not in {None, "null"}:
            yield Finding(
                "model-unexpected", SUBJECT, f"the job has no result, but a model: {job.model}"
            )
        return
    if not record.is_finished:
        return  # its driver was to register it
    ours = made_by(job.id, shown.versions)
    if not ours:
        known = f", but the job says {job.model}" if record.model else ""
        yield Finding(
            "model-missing-in-mlflow",
            SUBJECT,
            f"no version of {job.name} in MLflow's registry is of this job{known}",
            Publish(),
        )
        return
    if shown.bare is not None:
        yield Finding(
            "artifacts-unreachable",
            SUBJECT,
            f"nothing at all is in {shown.bare}, where MLflow keeps the artifacts of {job.name}",
        )
        return
    first, *doubles = ours
    for double in doubles:
        yield Finding(
            "model-doubled",
            SUBJECT,
            f"version {double.version} of {job.name} is of this job too, after {first.version}",
            Publish(),
        )
    yield from examine_version(record, first)
    yield from examine_alias(record, shown, first)
    if str(first.version) in shown.gone:
        yield Finding(
            "model-gone",
            SUBJECT,
            f"version {first.version} of {job.name} is registered, but its model {first.source} "
            "is not there; a new version takes its place",
            RenewVersion(str(first.version)),
        )
    elif half := shown.models - {model_id(first)}:
        yield Finding(
            "model-left-over",
            SUBJECT,
            f"the parent run has logged {', '.join(sorted(half))} beside the registered "
            f"{first.source}",
            Publish(),
        )


def examine_version(record: Record, version: ModelVersion) -> Iterator[Finding]:
    """The version is the one in the job's row, and its tags say what the job found."""
    job, result, tags = record.job, record.result, version.tags
    shown = (job.name, str(version.version), tags.get(ALIAS_TAG))
    model = record.model or {}
    if (model.get("name"), model.get("version"), model.get("alias")) != shown:
        yield Finding(
            "model-differs",
            SUBJECT,
            f"the job's row says {job.model}, but MLflow has {shown[0]} version {shown[1]}, "
            f"decided to be {shown[2]}",
            Publish(),
        )
    if result is None:
        return
    wanted = {
        METRIC_TAG: result.metric,
        VALIDATION_TAG: json.dumps(result.chosen.validation),
        TEST_TAG: json.dumps(result.chosen.test),
        FINGERPRINT_TAG: (read_object(job.dataset) or {}).get("fingerprint", ""),
    }
    for tag, value in wanted.items():
        if tags.get(tag) != value:
            yield Finding(
                "model-tag-differs",
                f"{SUBJECT} {tag}",
                f"version {version.version} has {tags.get(tag)}, but the job's result {value}",
                SetVersionTag(str(version.version), tag, value) if is_study_s(record) else None,
            )


def examine_alias(record: Record, shown: Shown, version: ModelVersion) -> Iterator[Finding]:
    """An alias points to the version that it belongs to."""
    alias = version.tags.get(ALIAS_TAG)
    if alias not in ALIASES:
        yield Finding(
            "model-tag-differs",
            f"{SUBJECT} {ALIAS_TAG}",
            f"version {version.version} was decided to be {alias}, not champion or challenger",
        )
        return
    wanted, found = bearer(alias, shown.versions), shown.aliases.get(alias)
    ours = str(version.version)
    if wanted is not None and str(wanted.version) == ours != found:
        yield Finding(
            "model-alias",
            SUBJECT,
            f"{record.job.name}@{alias} should be version {version.version}, but is {found}",
            SetAlias(alias, str(version.version)),
        )
