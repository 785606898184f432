"""The ways that we know for a job to be in disorder: what is done, and what is found then."""

import json
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric

from search.database.tables import PARENT
from search.tracking.tracking import JOB_TAG, NewRun
from search.winner.fetching import champion_folder
from search.winner.registry import fluent, log_model
from tests.search.upkeep.doctor.conftest import CONFIRM, JOB, Patient
from trainables.checkpoint import Checkpoints
from trainables.folder import LocalFolder

Named = tuple[str, str]
"""Kind and subject of a finding."""


@dataclass(frozen=True)
class Ill:
    """One way to be in disorder."""

    plant: Callable[[Patient], None]
    named: frozenset[Named]
    curable: bool


ILLS: dict[str, Ill] = {}


def ill(*named: Named, curable: bool = True) -> Callable[[Callable[[Patient], None]], None]:
    """Make an entry of a function that plants a disorder."""

    def enter(plant: Callable[[Patient], None]) -> None:
        assert plant.__name__ not in ILLS
        ILLS[plant.__name__] = Ill(plant, frozenset(named), curable)

    return enter


TRIAL_TABLES = (
    "trial_intermediate_values",
    "trial_values",
    "trial_params",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
"""Optuna's tables that hold parts of a trial."""


# -- study ----------------------------------------------------------------------------------------


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


def trial_id(patient: Patient, number: int, study: str = JOB) -> int:
    query = (
        "SELECT trial_id FROM trials JOIN studies ON trials.study_id = studies.study_id "
        "WHERE study_name = :study AND number = :number"
    )
    return int(patient.value(query, study=study, number=number))


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


# -- journal --------------------------------------------------------------------------------------


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


def lose_run(patient: Patient, trial: int) -> None:
    """Let MLflow forget a run for good."""
    patient.sql(
        "UPDATE runs SET run_id = :id WHERE study = :study AND trial = :trial",
        id=secrets.token_hex(16), study=JOB, trial=trial,
    )  # fmt: skip
    for runs in patient.tracking.existing().items():
        if runs[0] == (JOB, trial):
            patient.tracking.client.delete_run(runs[1][0].info.run_id)


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


# -- rows of runs ---------------------------------------------------------------------------------


def change_run(patient: Patient, trial: int, **values: object) -> None:
    names = ", ".join(f"{name} = :{name}" for name in values)
    patient.sql(
        f"UPDATE runs SET {names} WHERE study = :study AND trial = :number",  # noqa: S608
        study=JOB, number=trial, **values,
    )  # fmt: skip


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


# -- MLflow ---------------------------------------------------------------------------------------


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


def artifact(patient: Patient, name: str) -> Path:
    return patient.home.artifacts / "tiny" / patient.run_id(PARENT) / "artifacts" / name


# -- the registered model -------------------------------------------------------------------------


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


# -- champion and files ---------------------------------------------------------------------------


@ill(("champion-differs", "champion"), ("champion-damaged", "champion's metrics.json"),
     ("model-tag-differs", "model gatetune.validation"),
     ("epoch-differs-in-mlflow", "parent run"), curable=False)  # fmt: skip
def another_champion(patient: Patient) -> None:
    result = json.loads(patient.value("SELECT result FROM jobs"))
    result["chosen"]["validation"] = [0.9, 0.9]
    patient.sql("UPDATE jobs SET result = :text", text=json.dumps(result))


@ill(("result-damaged", "champion"), curable=False)
def a_result_that_is_none(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET result = '{'")


@ill(("champion-incomplete", "champion"))
def a_champion_without_weights(patient: Patient) -> None:
    (patient.champion / "weights.safetensors").unlink()


@ill(("champion-damaged", "champion's weights.safetensors"))
def a_champion_with_damaged_weights(patient: Patient) -> None:
    path = patient.champion / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


@ill(("champion-damaged", "champion's model.pt2"))
def a_champion_with_a_damaged_model(patient: Patient) -> None:
    path = patient.champion / "model.pt2"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@ill(("champion-damaged", "champion's config.json"))
def a_champion_of_another_configuration(patient: Patient) -> None:
    path = patient.champion / "config.json"
    path.write_text(path.read_text().replace('"layers": 1', '"layers": 2'))


@ill(("champion-damaged", "champion's metrics.json"))
def a_champion_with_no_metrics(patient: Patient) -> None:
    (patient.champion / "metrics.json").write_text("[")


@ill(("champion-incomplete", "champion"), ("artifact-missing", "parent run"), curable=False)
def a_champion_lost_everywhere(patient: Patient) -> None:
    shutil.rmtree(patient.champion)
    shutil.rmtree(artifact(patient, "champion"))


@ill(("checkpoint-unreferenced", "file tiny-0001/search/000002"))
def checkpoints_of_a_pruned_trial(patient: Patient) -> None:
    Checkpoints(LocalFolder(patient.folder / "search" / "000002")).write(1, {"epoch": 1})


@ill(("checkpoint-unreferenced", "file tiny-0001/confirm/000099"))
def checkpoints_of_no_trial(patient: Patient) -> None:
    Checkpoints(LocalFolder(patient.folder / "confirm" / "000099")).write(1, {"epoch": 1})


@ill(("checkpoint-unreferenced", "file tiny-0001/search/000001/epoch-000003.pt"))
def epochs_of_a_complete_trial(patient: Patient) -> None:
    Checkpoints(LocalFolder(patient.folder / "search" / "000001")).write(3, {"epoch": 3})


@ill(("temporary-file", "file tiny-0001/champion/.model.pt2.7.tmp"))
def an_interrupted_write_of_the_champion(patient: Patient) -> None:
    (patient.champion / ".model.pt2.7.tmp").touch()


@ill(("temporary-file", "file tiny-0001/.champion.7.tmp"))
def a_champion_that_an_older_version_was_writing(patient: Patient) -> None:
    (patient.folder / ".champion.7.tmp").mkdir()


@ill(("temporary-file", "file tiny-0001/search/000001/.best.safetensors.7.tmp"))
def an_interrupted_write_of_weights(patient: Patient) -> None:
    (patient.folder / "search" / "000001" / ".best.safetensors.7.tmp").touch()


@ill(("weights-damaged", "trial 1"))
def damaged_weights_that_nobody_needs(patient: Patient) -> None:
    path = patient.folder / "search" / "000001" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


@ill(("scratch-left", "files"))
def a_scratch_folder(patient: Patient) -> None:
    (patient.home.path / "scratch" / JOB / "tune").mkdir(parents=True)


# -- drivers --------------------------------------------------------------------------------------


@ill(("driver-dead", "job"))
def a_driver_that_died_while_it_concluded(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET status = 'running'")


@ill(("lease-left", "job"))
def a_lease_that_lapsed(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET lease_owner = 'elsewhere/1/2:1:2:ab', lease_until = 5")


@ill(("status-unknown", "job"), curable=False)
def a_status_that_is_none(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET status = 'on holiday'")
