"""The champion's alias in a person's hands, with MLflow's own registry."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from search.common.home import Home
from search.database.store import Store
from search.jobs.jobs import JobNotFoundError, NoChampionError, NotPossibleError, find
from search.tracking.tracking import client_of
from search.winner import champions as champions_module
from search.winner.champions import SEEDS_TAG, settle, versions_of
from search.winner.promotion import champions, promote
from search.winner.registry import publish
from tests.search.conftest import add_job, make_spec
from tests.search.installations import installed_in
from tests.search.winners import GOOD, JOB, OTHER, finish_rivals
from tests.servers import free_port
from trainables.datasets import SequenceDataset


@pytest.fixture(scope="module")
def rivals(tmp_path_factory: pytest.TempPathFactory, digits: SequenceDataset) -> Path:
    """The home of a champion, and of a challenger of another job."""
    folder = tmp_path_factory.mktemp("rivals") / "home"
    with installed_in(folder) as (home, store):
        finish_rivals(home, store, digits)
    return folder


@pytest.fixture
def two(rivals: Path, home: Path) -> Home:
    """The same, of a test's own."""
    shutil.copytree(rivals, home)
    return Home.from_environment()


@pytest.fixture
def store(two: Home) -> Iterator[Store]:
    opened = Store.open(two.database_url)
    yield opened
    opened.close()


def aliases(home: Home) -> dict[str, str]:
    found = client_of(home).get_registered_model("tiny").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_a_promoted_job_is_the_champion_and_stays_it(two: Home, store: Store) -> None:
    assert aliases(two) == {"champion": "1", "challenger": "2"}
    model = promote(two, store, OTHER, "ada")
    assert (model["version"], model["alias"], model["reason"]) == (
        "2", "champion", "ada promoted it"
    )  # fmt: skip
    assert aliases(two) == {"champion": "2"}
    for job_id in (JOB, OTHER):
        publish(two, store, job_id)
    assert aliases(two) == {"champion": "2"}
    assert '"alias": "champion"' in str(find(store, OTHER).model)


def test_who_is_promoted_while_aliases_are_settled_keeps_it(
    two: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = champions_module.every_version

    def late(client: MlflowClient, name: str) -> list[ModelVersion]:
        before = read(client, name)
        monkeypatch.setattr(champions_module, "every_version", read)
        promote(two, store, OTHER, "ada")
        return before

    monkeypatch.setattr(champions_module, "every_version", late)
    settle(client_of(two), "tiny")
    assert aliases(two) == {"champion": "2"}


def test_who_is_promoted_before_a_stale_word_is_written_keeps_it(
    two: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(two)
    client.delete_registered_model_alias("tiny", "champion")
    write = MlflowClient.set_registered_model_alias

    def late(self: MlflowClient, *word: Any) -> None:
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", write)
        promote(two, store, OTHER, "ada")
        write(self, *word)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", late)
    settle(client, "tiny")
    assert aliases(two) == {"champion": "2"}


def test_who_is_promoted_while_the_report_is_written_is_told_as_the_champion(
    two: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[str]()

    def slow(*arguments: Any) -> None:
        told.append(arguments[-1]["alias"])
        if len(told) == 1:
            promote(two, store, OTHER, "ada")

    monkeypatch.setattr("search.winner.registry.log_report", slow)
    model = publish(two, store, OTHER)
    assert model is not None
    assert (model["alias"], model["reason"]) == ("champion", "ada promoted it")
    assert told[0] == "challenger"
    assert told[-1] == "champion"


def test_to_promote_an_earlier_one_rolls_back_and_all_is_remembered(
    two: Home, store: Store
) -> None:
    promote(two, store, OTHER, "ada")
    promote(two, store, JOB, "bob")
    assert aliases(two) == {"champion": "1"}
    told = champions(two, "tiny")
    assert [(one["version"], one["by"], one["present"]) for one in told] == [
        ("1", "bob", True), ("2", "ada", False), ("1", "gatetune", False)
    ]  # fmt: skip
    assert told[0]["validation"] == list(GOOD.chosen.validation)
    assert told[0]["job"] == JOB


def test_the_test_result_is_evidence(two: Home, store: Store) -> None:
    (version,) = versions_of(client_of(two), "tiny", JOB)
    assert version.tags[SEEDS_TAG] == "3"
    (told,) = champions(two, "tiny")
    low, high = told["test_interval"]
    assert low <= sum(told["test"]) / 3 <= high
    assert told["gain"]["probability"] == 0.999


def test_what_cannot_be_promoted(two: Home, store: Store) -> None:
    with pytest.raises(NotPossibleError, match="job tiny-0001 is the champion of tiny already"):
        promote(two, store, JOB, "ada")
    add_job(store, make_spec("name=other"), "other-0001")
    with pytest.raises(NotPossibleError, match="job other-0001 has no model in the registry"):
        promote(two, store, "other", "ada")
    with pytest.raises(JobNotFoundError, match="no job is called 'nobody'"):
        promote(two, store, "nobody", "ada")
    with pytest.raises(NotPossibleError, match=r"no model called 'x' had a champion; .* are: tiny"):
        champions(two, "x")


@pytest.mark.parametrize("name", ["a'b", "tiny", "", "x" * 65])
def test_a_name_that_no_model_has(installation: Home, name: str) -> None:
    with pytest.raises(NoChampionError, match=r"no model called .* the models are: none yet"):
        champions(installation, name)


def test_a_password_of_mlflow_is_told_to_nobody(installation: Home) -> None:
    away = replace(installation, tracking_uri=f"http://svc:s3cr3t@127.0.0.1:{free_port()}")
    with pytest.raises(NotPossibleError) as caught:
        champions(away, "tiny")
    assert "registry of http://127.0.0.1" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
