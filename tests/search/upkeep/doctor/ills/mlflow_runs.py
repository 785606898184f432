"""Ills of the runs in MLflow."""

import shutil
import time

from mlflow.entities import Metric

from search.database.tables import PARENT
from search.tracking.tracking import JOB_TAG, NewRun
from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills.changes import artifact, change_run, lose_run
from tests.search.upkeep.doctor.ills.entry import ill


@ill(("run-missing-in-mlflow", "trial 1"))
def a_deleted_run(patient: Patient) -> None:
    patient.tracking.client.delete_run(patient.run_id(1))


@ill(("run-missing-in-mlflow", "trial 1"))
def a_run_lost_for_good(patient: Patient) -> None:
    lose_run(patient, 1)


@ill(("run-missing-in-mlflow", "parent run"))
def a_deleted_parent(patient: Patient) -> None:
    patient.tracking.client.delete_run(patient.run_id(PARENT))


@ill(("run-missing-in-mlflow", "trial 1"))
def a_run_that_lost_its_tag(patient: Patient) -> None:
    patient.tracking.client.delete_tag(patient.run_id(1), JOB_TAG)


@ill(("run-tags-in-mlflow", "trial 1"))
def a_run_with_another_trials_tag(patient: Patient) -> None:
    patient.tracking.client.set_tag(patient.run_id(1), "gatetune.trial", "2")


@ill(("run-doubled", "trial 1"))
def a_doubled_run(patient: Patient) -> None:
    patient.tracking.create(NewRun((JOB, 1), "of a repeated request", 1, None))


@ill(("run-orphaned", "MLflow run"))
def a_run_of_no_trial(patient: Patient) -> None:
    patient.tracking.create(NewRun((JOB, 99), "no trial's", 1, None))


@ill(("run-orphaned", "MLflow run"))
def a_run_whose_trial_is_no_number(patient: Patient) -> None:
    run_id = patient.tracking.create(NewRun((JOB, 99), "no trial's", 1, None))
    patient.tracking.client.set_tag(run_id, "gatetune.trial", "first")


@ill(("run-undelivered", "trial 1"), ("epoch-undelivered", "trial 1"))
def a_run_that_is_not_noted(patient: Patient) -> None:
    change_run(patient, 1, run_id=None, delivered=None)
    patient.sql("UPDATE journal SET delivered = 0 WHERE trial = 1 AND study = :study", study=JOB)


@ill(("run-status-in-mlflow", "trial 1"))
def another_status_in_mlflow(patient: Patient) -> None:
    patient.tracking.client.set_terminated(patient.run_id(1), "FAILED")


@ill(("run-status-in-mlflow", "trial 1"))
def another_outcome_in_mlflow(patient: Patient) -> None:
    patient.tracking.client.set_tag(patient.run_id(1), "pruned", "true")


@ill(("run-status-in-mlflow", "trial 1"))
def another_end_in_mlflow(patient: Patient) -> None:
    patient.tracking.client.set_terminated(patient.run_id(1), "FINISHED", end_time=5)


@ill(("run-status-in-mlflow", "trial 1"))
def workers_that_were_not_lost(patient: Patient) -> None:
    patient.tracking.client.set_tag(patient.run_id(1), "gatetune.workers_lost", "2")


@ill(("run-status-in-mlflow", "trial 1"))
def a_precision_of_which_nobody_knows(patient: Patient) -> None:
    patient.tracking.client.set_tag(patient.run_id(1), "gatetune.precision", "bfloat16")


@ill(("run-status-in-mlflow", "parent run"))
def a_parent_that_still_runs_in_mlflow(patient: Patient) -> None:
    patient.tracking.client.update_run(patient.run_id(PARENT), status="RUNNING")


@ill(("run-parameters-in-mlflow", "trial 1"))
def another_parameter_in_mlflow(patient: Patient) -> None:
    change_parameter(patient, 1)


@ill(("run-parameters-in-mlflow", "parent run"), curable=False)
def another_parameter_of_the_parent(patient: Patient) -> None:
    change_parameter(patient, PARENT)


def change_parameter(patient: Patient, trial: int) -> None:
    run_id = patient.run_id(trial)
    name = min(patient.tracking.client.get_run(run_id).data.params)
    engine = patient.tracking.client._tracking_client.store.engine
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE params SET value = 'green' WHERE run_uuid = ? AND key = ?", (run_id, name)
        )


@ill(("run-parent-in-mlflow", "trial 1"))
def another_parent(patient: Patient) -> None:
    patient.tracking.client.set_tag(patient.run_id(1), "mlflow.parentRunId", "0" * 32)


def log(patient: Patient, trial: int, name: str, value: float, epoch: int) -> None:
    metric = Metric(name, value, int(time.time() * 1000), epoch)
    patient.tracking.client.log_batch(patient.run_id(trial), metrics=[metric])


@ill(("epoch-doubled-in-mlflow", "trial 1"))
def a_doubled_metric(patient: Patient) -> None:
    log(patient, 1, "val_accuracy", 0.5, 2)


@ill(("epoch-unknown-in-mlflow", "trial 1"))
def an_epoch_that_only_mlflow_has(patient: Patient) -> None:
    log(patient, 1, "val_accuracy", 0.5, 9)


@ill(("epoch-unknown-in-mlflow", "parent run"), curable=False)
def a_step_that_only_mlflow_has(patient: Patient) -> None:
    log(patient, PARENT, "trials_ended", 9.0, 9)


@ill(("epoch-missing-in-mlflow", "trial 1"))
def an_epoch_that_mlflow_lacks(patient: Patient) -> None:
    forget_metrics(patient, 1, "val_loss")


@ill(("epoch-missing-in-mlflow", "trial 1"))
def an_epoch_that_waits(patient: Patient) -> None:
    forget_metrics(patient, 1, "val_loss")
    patient.sql("UPDATE journal SET delivered = 0 WHERE trial = 1 AND study = :study", study=JOB)


@ill(("report-missing-in-mlflow", "parent run"))
def a_parent_without_the_means(patient: Patient) -> None:
    forget_metrics(patient, PARENT, "champion_val_accuracy")


def forget_metrics(patient: Patient, trial: int, name: str) -> None:
    engine = patient.tracking.client._tracking_client.store.engine
    with engine.begin() as connection:
        for table in ("metrics", "latest_metrics"):
            connection.exec_driver_sql(
                f"DELETE FROM {table} WHERE run_uuid = ? AND key = ?",  # noqa: S608
                (patient.run_id(trial), name),
            )


@ill(("artifact-missing", "parent run"))
def a_parent_without_its_report(patient: Patient) -> None:
    artifact(patient, "report.html").unlink()


@ill(("artifact-missing", "parent run"))
def a_parent_without_its_document(patient: Patient) -> None:
    artifact(patient, "job.yaml").unlink()


@ill(("artifact-missing", "parent run"))
def a_parent_without_the_champion(patient: Patient) -> None:
    shutil.rmtree(artifact(patient, "champion"))
