"""Ills of the journal, and of what the study says of the same epochs."""

import json

from search.database.tables import PARENT
from search.tracking.tracking import NewRun
from tests.search.upkeep.doctor.conftest import CONFIRM, JOB, Patient
from tests.search.upkeep.doctor.ills.changes import lose_run, trial_id
from tests.search.upkeep.doctor.ills.entry import ill


def change_row(patient: Patient, trial: int, epoch: int, **values: object) -> None:
    names = ", ".join(f"{name} = :{name}" for name in values)
    patient.sql(
        f"UPDATE journal SET {names} WHERE study = :study AND trial = :trial AND epoch = :epoch",  # noqa: S608
        study=JOB, trial=trial, epoch=epoch, **values,
    )  # fmt: skip


def delete_row(patient: Patient, trial: int, epoch: int) -> None:
    patient.sql(
        "DELETE FROM journal WHERE study = :study AND trial = :trial AND epoch = :epoch",
        study=JOB, trial=trial, epoch=epoch,
    )  # fmt: skip


@ill(("epoch-missing-in-journal", "trial 1"))
def a_lost_epoch(patient: Patient) -> None:
    delete_row(patient, 1, 2)


@ill(("epoch-missing-in-journal", "trial 1"))
def a_lost_last_epoch(patient: Patient) -> None:
    delete_row(patient, 1, 4)


@ill(("epoch-missing-in-journal", "trial 4"))
def a_lost_diverged_epoch(patient: Patient) -> None:
    delete_row(patient, 4, 2)


@ill(("epoch-missing-in-journal", "trial 2"), ("run-missing-in-mlflow", "trial 2"))
def an_epoch_of_which_the_study_alone_knows(patient: Patient) -> None:
    delete_row(patient, 2, 1)
    lose_run(patient, 2)


@ill(("step-missing-in-journal", "parent run"))
def a_lost_step_of_the_parent(patient: Patient) -> None:
    delete_row(patient, PARENT, 3)


@ill(("step-differs", "parent run"))
def a_changed_step_of_the_parent(patient: Patient) -> None:
    change_row(patient, PARENT, 3, metrics='{"trials_ended": 7, "best_val_accuracy": 0.9}')


@ill(("epoch-differs", "trial 1"))
def a_changed_objective(patient: Patient) -> None:
    change_row(patient, 1, 2, metrics='{"val_accuracy": 0.123, "val_loss": 0.877}')


@ill(("epoch-differs-in-mlflow", "trial 1"))
def another_metric_changed(patient: Patient) -> None:
    known = json.loads(patient.value("SELECT metrics FROM journal WHERE trial = 1 AND epoch = 2 "
                                     "AND study = :s", s=JOB))  # fmt: skip
    change_row(patient, 1, 2, metrics=json.dumps(known | {"val_loss": 5.0}))


@ill(("epoch-damaged", "trial 1"))
def a_row_cut_short(patient: Patient) -> None:
    change_row(patient, 1, 2, metrics='{"val_accuracy": 0.8')


@ill(("epoch-damaged", "trial 1"))
def a_verdict_that_is_none(patient: Patient) -> None:
    change_row(patient, 1, 4, verdict="maybe")


@ill(("epoch-damaged", "trial 1"))
def a_memory_that_is_none(patient: Patient) -> None:
    change_row(patient, 1, 1, pruner="[")


@ill(("verdict-differs", "trial 1"))
def a_last_epoch_that_ended_nothing(patient: Patient) -> None:
    change_row(patient, 1, 4, verdict="continue")


@ill(("verdict-early", "trial 1"))
def an_epoch_that_ended_it_too_early(patient: Patient) -> None:
    change_row(patient, 1, 2, verdict="pruned")


@ill(("trial-unknown", "trial 77"), ("run-orphaned", "MLflow run"), curable=False)
def an_epoch_of_no_trial(patient: Patient) -> None:
    with patient.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO journal SELECT study, 77, epoch, job_id, time_ms, metrics, verdict, "
            "pruner, 1, revision FROM journal WHERE trial = 2 AND study = ?",
            (JOB,),
        )
    patient.tracking.create(NewRun((JOB, 77), "no trial's", 1, None))


@ill(("epoch-missing-in-study", "trial 2"),
     ("verdict-early", "trial 2"), ("verdict-differs", "trial 2"), curable=False)  # fmt: skip
def an_epoch_that_the_study_does_not_know(patient: Patient) -> None:
    with patient.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO journal SELECT study, trial, 2, job_id, time_ms, metrics, 'continue', "
            "pruner, 0, revision FROM journal WHERE trial = 2 AND study = ?",
            (JOB,),
        )


@ill(("value-differs", "confirm trial 0"), ("champion-differs", "champion"), curable=False)
def a_value_that_is_not_the_best_epochs(patient: Patient) -> None:
    patient.sql("UPDATE trial_values SET value = 0.2 WHERE trial_id = :t",
                t=trial_id(patient, 0, CONFIRM))  # fmt: skip
