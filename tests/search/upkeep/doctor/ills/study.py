"""Ills of Optuna's study, and of what was written when the job began."""

import json

from tests.search.upkeep.doctor.conftest import CONFIRM, Patient
from tests.search.upkeep.doctor.ills.changes import trial_id
from tests.search.upkeep.doctor.ills.entry import ill

TRIAL_TABLES = (
    "trial_intermediate_values",
    "trial_values",
    "trial_params",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
"""Optuna's tables that hold parts of a trial."""


@ill(
    ("trial-missing", "trial 2"),
    ("trial-unknown", "trial 2"),
    ("run-row-unknown", "trial 2"),
    ("step-unknown", "parent run"),
    curable=False,
)
def a_lost_trial(patient: Patient) -> None:
    trial = trial_id(patient, 2)
    for table in TRIAL_TABLES:
        with patient.store.engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id = {trial}")  # noqa: S608
    patient.sql("DELETE FROM trials WHERE trial_id = :id", id=trial)


@ill(("trial-missing", "trial 6"), curable=False)
def a_budget_that_is_not_spent(patient: Patient) -> None:
    document(patient, budget={"trials": 7, "hours": None, "target": None})


@ill(("trial-beyond-budget", "trial 5"), curable=False)
def a_trial_too_many(patient: Patient) -> None:
    document(patient, budget={"trials": 5, "hours": None, "target": None})


def document(patient: Patient, **sections: object) -> None:
    known = json.loads(patient.value("SELECT document FROM jobs"))
    patient.sql("UPDATE jobs SET document = :text", text=json.dumps(known | sections))


@ill(("trial-running", "confirm trial 5"))
def a_confirmed_trial_whose_end_was_not_written(patient: Patient) -> None:
    """Reading the study as a driver does ends it, since its last epoch had."""
    trial = trial_id(patient, 5, CONFIRM)
    patient.sql("UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = :t",
                t=trial)  # fmt: skip
    patient.sql("DELETE FROM trial_values WHERE trial_id = :t", t=trial)


@ill(("job-damaged", "job"), curable=False)
def a_document_that_is_none(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET document = '{'")


@ill(("replicate-differs", "confirm trial 1"), curable=False)
def a_replicate_with_another_seed(patient: Patient) -> None:
    trial = trial_id(patient, 1, CONFIRM)
    patient.sql("UPDATE trial_user_attributes SET value_json = '7' WHERE trial_id = :t AND "
                "key = 'seed'", t=trial)  # fmt: skip
    row = "UPDATE runs SET parameters = :text WHERE study = :study AND trial = 1"
    known = patient.value("SELECT parameters FROM runs WHERE study = :s AND trial = 1", s=CONFIRM)
    patient.sql(row, text=json.dumps(json.loads(known) | {"seed": 7}), study=CONFIRM)
    patient.treat()  # which brings MLflow to what the rows say
