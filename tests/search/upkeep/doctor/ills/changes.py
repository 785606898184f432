"""What several ills do to a job."""

import secrets
from pathlib import Path

from search.database.tables import PARENT
from tests.search.upkeep.doctor.conftest import JOB, Patient


def trial_id(patient: Patient, number: int, study: str = JOB) -> int:
    query = (
        "SELECT trial_id FROM trials JOIN studies ON trials.study_id = studies.study_id "
        "WHERE study_name = :study AND number = :number"
    )
    return int(patient.value(query, study=study, number=number))


def lose_run(patient: Patient, trial: int) -> None:
    """Let MLflow forget a run for good."""
    patient.sql(
        "UPDATE runs SET run_id = :id WHERE study = :study AND trial = :trial",
        id=secrets.token_hex(16), study=JOB, trial=trial,
    )  # fmt: skip
    for runs in patient.tracking.existing().items():
        if runs[0] == (JOB, trial):
            patient.tracking.client.delete_run(runs[1][0].info.run_id)


def change_run(patient: Patient, trial: int, **values: object) -> None:
    names = ", ".join(f"{name} = :{name}" for name in values)
    patient.sql(
        f"UPDATE runs SET {names} WHERE study = :study AND trial = :number",  # noqa: S608
        study=JOB, number=trial, **values,
    )  # fmt: skip


def artifact(patient: Patient, name: str) -> Path:
    return patient.home.artifacts / "tiny" / patient.run_id(PARENT) / "artifacts" / name
