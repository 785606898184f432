"""Ills of the registered model."""

import shutil

from search.database.tables import PARENT
from search.winner.fetching import champion_folder
from search.winner.registry import fluent, log_model
from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills.entry import ill


@ill(("model-missing-in-mlflow", "model"))
def a_deleted_version(patient: Patient) -> None:
    patient.tracking.client.delete_model_version("tiny", "1")


@ill(("model-missing-in-mlflow", "model"))
def a_deleted_name(patient: Patient) -> None:
    patient.tracking.client.delete_registered_model("tiny")


@ill(("model-differs", "model"))
def a_model_that_the_job_does_not_know(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET model = 'null'")


@ill(("model-differs", "model"))
def a_model_that_is_none(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET model = '{'")


@ill(("model-alias", "model"))
def a_lost_alias(patient: Patient) -> None:
    client = patient.tracking.client
    (alias,) = client.get_model_version("tiny", "1").aliases
    client.delete_registered_model_alias("tiny", alias)


@ill(("model-gone", "model"))
def a_version_without_its_model(patient: Patient) -> None:
    source = str(patient.tracking.client.get_model_version("tiny", "1").source)
    patient.tracking.client.delete_logged_model(source.removeprefix("models:/"))


@ill(("model-gone", "model"))
def a_version_without_the_files_of_its_model(patient: Patient) -> None:
    source = str(patient.tracking.client.get_model_version("tiny", "1").source)
    models = patient.home.artifacts / "tiny" / "models"
    shutil.rmtree(models / source.removeprefix("models:/"))


@ill(("artifacts-unreachable", "model"), curable=False)
def a_disk_of_artifacts_that_is_not_mounted(patient: Patient) -> None:
    shutil.rmtree(patient.home.artifacts)
    patient.home.artifacts.mkdir()


@ill(("model-left-over", "model"), ("run-status-in-mlflow", "parent run"))
def a_model_of_an_interrupted_publishing(patient: Patient) -> None:
    with fluent(patient.home.tracking_uri):
        log_model(patient.run_id(PARENT), champion_folder(patient.home, JOB))


@ill(("model-doubled", "model"))
def a_doubled_version(patient: Patient) -> None:
    client = patient.tracking.client
    first = client.get_model_version("tiny", "1")
    with fluent(patient.home.tracking_uri):
        client.create_model_version("tiny", str(patient.home.artifacts), tags=first.tags)


@ill(("model-tag-differs", "model gatetune.validation"))
def a_version_with_other_results(patient: Patient) -> None:
    patient.tracking.client.set_model_version_tag("tiny", "1", "gatetune.validation", "[1.0]")
