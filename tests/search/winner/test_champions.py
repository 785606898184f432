"""Which version bears which alias, told of versions alone."""

import json

from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry.model_version_tag import ModelVersionTag

from search.winner.champions import (
    ALIAS_TAG,
    CLAIMS_TAG,
    MOST_CLAIMS,
    Claim,
    bearer,
    claims_of,
    written,
)


def tag(key: str, value: str) -> ModelVersionTag:
    return ModelVersionTag(key, value)  # type: ignore[no-untyped-call]


def version(number: int, *claims_ms: int, alias: str = "champion") -> ModelVersion:
    tags = {
        ALIAS_TAG: alias,
        CLAIMS_TAG: written(Claim(at_ms, "ada", "it is good") for at_ms in claims_ms),
    }
    made = ModelVersion("tiny", str(number), 0)
    for key, value in tags.items():
        made._add_tag(tag(key, value))
    return made


def borne(alias: str, *versions: ModelVersion) -> str | None:
    found = bearer(alias, versions)
    return None if found is None else str(found.version)


def test_the_champion_is_whoever_became_it_last() -> None:
    assert borne("champion", version(1, 10), version(2, 20)) == "2"
    assert borne("champion", version(1, 10, 30), version(2, 20)) == "1"
    assert borne("champion", version(9, 20), version(10, 20)) == "10"
    assert borne("champion", version(1, alias="challenger")) is None
    assert borne("champion", version(1), version(2, 5)) == "2"
    assert borne("champion", version(1)) == "1"  # of a time before there were claims
    assert borne("champion") is None


def test_the_challenger_is_the_newest_that_was_decided_to_be_one() -> None:
    two, ten = version(2, alias="challenger"), version(10, alias="challenger")
    assert borne("challenger", ten, two, version(11, 5)) == "10"
    assert borne("challenger", version(11, 5)) is None


def test_what_somebody_wrote_into_a_tag_claims_nothing() -> None:
    for text in ("", "[1]", '[{"at": 3}]', "{"):
        made = version(1)
        made._add_tag(tag(CLAIMS_TAG, text))
        assert claims_of(made) == []


def test_the_latest_claims_are_kept() -> None:
    text = written(Claim(at_ms, "ada", "x" * 300) for at_ms in range(50))
    assert [one["at_ms"] for one in json.loads(text)] == list(range(50 - MOST_CLAIMS, 50))
    assert len(text) < 5000
