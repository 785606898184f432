"""Ills of the rows of runs."""

import json

from search.database.tables import PARENT
from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills.changes import change_run
from tests.search.upkeep.doctor.ills.entry import ill


@ill(("run-row-status", "trial 1"), ("run-undelivered", "trial 1"))
def a_row_with_another_status(patient: Patient) -> None:
    change_run(patient, 1, status="KILLED", tag="pruned")


@ill(("run-row-status", "trial 5"), ("run-undelivered", "trial 5"))
def a_row_with_other_attempts(patient: Patient) -> None:
    change_run(patient, 5, attempts=0)


@ill(("run-row-status", "trial 5"), ("run-status-in-mlflow", "trial 5"))
def a_row_with_another_precision(patient: Patient) -> None:
    change_run(patient, 5, precision="bfloat16")


@ill(("run-row-status", "parent run"), ("run-undelivered", "parent run"))
def a_parent_row_that_still_runs(patient: Patient) -> None:
    change_run(patient, PARENT, status="RUNNING", ended_ms=None)


@ill(("run-row-parameters", "trial 1"), ("run-parameters-in-mlflow", "trial 1"))
def a_row_with_another_parameter(patient: Patient) -> None:
    known = json.loads(patient.value("SELECT parameters FROM runs WHERE trial = 1 AND study = :s",
                                     s=JOB))  # fmt: skip
    change_run(patient, 1, parameters=json.dumps(known | {"layers": 9}))


@ill(("run-row-parameters", "trial 1"))
def parameters_that_are_none(patient: Patient) -> None:
    change_run(patient, 1, parameters="{")


@ill(("run-row-parameters", "parent run"))
def parameters_of_the_parent_that_are_none(patient: Patient) -> None:
    change_run(patient, PARENT, parameters="no JSON")


@ill(("run-row-missing", "trial 3"))
def a_lost_row(patient: Patient) -> None:
    patient.sql("DELETE FROM runs WHERE trial = 3 AND study = :study", study=JOB)


@ill(("run-row-missing", "parent run"), ("run-orphaned", "MLflow run"))
def a_lost_row_of_the_parent(patient: Patient) -> None:
    patient.sql("DELETE FROM runs WHERE trial = -1 AND study = :study", study=JOB)
