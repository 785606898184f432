"""Ills of the champion, checkpoints and other files."""

import json
import shutil

from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills.changes import artifact
from tests.search.upkeep.doctor.ills.entry import ill
from trainables.checkpoint import Checkpoints
from trainables.folder import LocalFolder


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
