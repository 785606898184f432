"""Which version of a registered model bears which alias, by whose word, and what was before."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from search.database.tables import now_ms
from search.tracking.tracking import JOB_TAG

CHAMPION = "champion"
ALIASES = (CHAMPION, "challenger")

FINGERPRINT_TAG = "gatetune.fingerprint"
METRIC_TAG = "gatetune.metric"
VALIDATION_TAG = "gatetune.validation"
TEST_TAG = "gatetune.test"
INTERVAL_TAG = "gatetune.test_interval"
SEEDS_TAG = "gatetune.seeds"
GAIN_TAG = "gatetune.gain"
ALIAS_TAG = "gatetune.alias"
REASON_TAG = "gatetune.reason"
CLAIMS_TAG = "gatetune.claims"

MOST_CLAIMS = 10
"""Claims of a version that are kept, the latest: MLflow's tags hold 5,000 characters."""


@dataclass(frozen=True)
class Claim:
    """That a version became the champion.

    Attributes:
        at_ms: when, since 1970.
        by: who said so; ``gatetune`` where the job's result did.
        reason: why.
    """

    at_ms: int
    by: str
    reason: str


def claims_of(version: ModelVersion) -> list[Claim]:
    """Return when and why a version became the champion, oldest first.

    A tag that somebody has changed to something else claims nothing.
    """
    try:
        return [Claim(**one) for one in json.loads(version.tags.get(CLAIMS_TAG, "[]"))]
    except (ValueError, TypeError):
        return []


def written(claims: Iterable[Claim]) -> str:
    """Return claims as a version's tag holds them."""
    return json.dumps([asdict(one) for one in list(claims)[-MOST_CLAIMS:]])


def claim(reason: str, by: str = "gatetune") -> Claim:
    """Return the claim of a version that becomes the champion now."""
    return Claim(now_ms(), by, reason[:300])


def bearer(alias: str, versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """Return the version that an alias belongs to, None where it belongs to none.

    The champion is whoever became it last; the challenger the newest that was decided to be one.
    """
    known = [(rank(alias, one), one) for one in versions]
    fit = [(place, one) for place, one in known if place is not None]
    return max(fit, key=lambda pair: pair[0])[1] if fit else None


def rank(alias: str, version: ModelVersion) -> tuple[int, int] | None:
    """Return how late a version has a right to an alias, None where it has none."""
    number = int(version.version)
    if alias == CHAMPION:
        claims = claims_of(version)
        if claims:
            return claims[-1].at_ms, number
    return (0, number) if version.tags.get(ALIAS_TAG) == alias else None


def every_version(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return the versions of a model, whichever jobs registered them."""
    return list(client.search_model_versions(f"name = '{name}'"))


def settle(client: MlflowClient, name: str) -> None:
    """Let each alias of a model point to the version that it belongs to.

    Repeated until nothing had to be moved: somebody may promote between reading and writing.
    """
    moved = True
    while moved:
        moved = False
        present = client.get_registered_model(name).aliases
        versions = every_version(client, name)  # later, so that it knows why an alias was moved
        for alias in ALIASES:
            bears, found = bearer(alias, versions), present.get(alias)
            wanted = None if bears is None else str(bears.version)
            if wanted == (None if found is None else str(found)):
                continue
            if wanted is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, wanted)
            moved = True


def versions_of(client: MlflowClient, name: str, job_id: str) -> list[ModelVersion]:
    """Return the versions that a job registered, oldest first; a repeated request makes two."""
    return made_by(job_id, every_version(client, name))


def made_by(job_id: str, versions: Iterable[ModelVersion]) -> list[ModelVersion]:
    """Return those of the versions that a job registered, oldest first."""
    ours = [one for one in versions if one.tags.get(JOB_TAG) == job_id]
    return sorted(ours, key=lambda one: int(one.version))


def model_of(version: ModelVersion) -> dict[str, Any]:
    """Return a version as a job's row keeps it."""
    return {
        "name": version.name,
        "version": str(version.version),
        "alias": version.tags[ALIAS_TAG],
        "reason": version.tags[REASON_TAG],
    }


def history(client: MlflowClient, name: str) -> list[dict[str, Any]]:
    """Return the champions of a name, the present one first: version, job, since when and why."""
    versions = every_version(client, name)
    present = bearer(CHAMPION, versions)
    reigns = [
        {
            "version": str(version.version),
            "job": version.tags.get(JOB_TAG, ""),
            "present": version is present and one == claims_of(version)[-1],
            "since_ms": one.at_ms,
            "by": one.by,
            "reason": one.reason,
            "metric": version.tags.get(METRIC_TAG, ""),
            "validation": json.loads(version.tags.get(VALIDATION_TAG, "[]")),
            "test": json.loads(version.tags.get(TEST_TAG, "[]")),
            "test_interval": json.loads(version.tags.get(INTERVAL_TAG, "null")),
            "gain": json.loads(version.tags.get(GAIN_TAG, "null")),
            "fingerprint": version.tags.get(FINGERPRINT_TAG, ""),
        }
        for version in versions
        for one in claims_of(version)
    ]
    return sorted(reigns, key=lambda one: (-one["since_ms"], -int(one["version"])))
