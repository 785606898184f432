"""A job in order agrees; each way to be in disorder is named, and mended where that can be."""

from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient

from search.database.tables import PARENT
from search.upkeep.doctor.examination import Examiner
from search.upkeep.doctor.finding import Finding
from search.upkeep.doctor.record import Record
from search.upkeep.doctor.treatment import identity, told
from search.winner.champions import ALIAS_TAG, CHAMPION, CLAIMS_TAG, REASON_TAG, claim, written
from tests.search.upkeep.doctor.conftest import JOB, Patient
from tests.search.upkeep.doctor.ills import ILLS
from trainables.checkpoint import Checkpoints
from trainables.folder import LocalFolder


def named(findings: list[Finding]) -> set[tuple[str, str]]:
    """Return kinds and subjects; the id of an MLflow run is another each time."""
    return {
        (one.kind, "MLflow run" if one.subject.startswith("MLflow run") else one.subject)
        for one in findings
    }


def test_a_finished_job_agrees(patient: Patient) -> None:
    report = patient.examine()
    assert report.findings == []
    assert (report.trials, report.epochs, report.runs) == (12, 39, 13)


def test_what_a_person_adds_to_a_run_is_no_disorder(patient: Patient) -> None:
    for trial in (1, PARENT):
        run_id = patient.run_id(trial)
        patient.tracking.client.log_metric(run_id, "my_score", 0.7, step=3)
        patient.tracking.client.log_param(run_id, "colour", "green")
    assert patient.examine().findings == []


@pytest.mark.parametrize("name", ILLS)
def test_a_disorder_is_named_and_mended(name: str, patient: Patient) -> None:
    ill = ILLS[name]
    ill.plant(patient)
    found = patient.examine()
    assert named(found.findings) == ill.named, found.findings
    assert not found.agree
    treated = patient.treat()
    assert treated.agree == ill.curable, treated.findings
    assert ill.named <= named(treated.findings)
    assert not ill.curable or all(one.repaired for one in treated.findings)


def test_a_champion_by_hand_stays_it_where_its_model_was_lost(patient: Patient) -> None:
    client = patient.tracking.client
    by_hand = {CLAIMS_TAG: written([claim("roll back", by="ann")]), REASON_TAG: "roll back"}
    for tag, value in by_hand.items():
        client.set_model_version_tag("tiny", "1", tag, value)
    client.set_model_version_tag("tiny", "1", ALIAS_TAG, CHAMPION)
    client.set_registered_model_alias("tiny", CHAMPION, "1")
    ILLS["a_version_without_its_model"].plant(patient)
    assert patient.treat().agree
    version = client.get_model_version_by_alias("tiny", CHAMPION)
    assert int(version.version) == 2
    assert version.tags.items() >= by_hand.items()


def test_files_that_cannot_be_reached_are_one_finding(patient: Patient) -> None:
    """What was wrong with them is not taken for repaired because nobody sees it."""
    away = replace(patient.home, checkpoints="s3://bucket/x?what=1")
    blind = Examiner(away, patient.store, patient.examiner.optuna, lambda *_: None)
    assert named(blind.examine(JOB).findings) == {("checkpoints-unreachable", "files")}
    ILLS["damaged_weights_that_nobody_needs"].plant(patient)
    seen = {identity(one): one for one in patient.examine().findings}
    findings = told(blind.examine(JOB), seen, []).findings
    assert [one.kind for one in findings if one.repaired] == []


def test_files_of_a_trial_that_the_study_lost_are_kept(patient: Patient) -> None:
    """They may be all that is left of it."""
    kept = Checkpoints(LocalFolder(patient.folder / "search" / "000002"))
    kept.write(1, {"epoch": 1})
    ILLS["a_lost_trial"].plant(patient)
    assert not patient.treat().agree
    assert kept.epochs() == [1]


def test_many_rows_are_mended_from_one_reading(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.sql("UPDATE runs SET parameters = '{'")
    read, readings = Record.read, []

    def counted(*of: Any) -> Record:
        readings.append(of)
        return read(*of)

    monkeypatch.setattr(Record, "read", counted)
    assert patient.treat().agree
    assert len(readings) == 3, "before, for the rows, and afterwards"


class RefusedError(Exception):
    """As a library for object stores has its own."""


def test_a_store_of_artifacts_that_refuses_is_said(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RefusedError("no credentials")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", refuse)
        ILLS["a_parent_without_its_document"].plant(patient)
        findings = patient.treat().findings
        assert ("repair-failed", "repair") in named(findings)
        assert any("no credentials" in one.message for one in findings)
    monkeypatch.setattr(MlflowClient, "list_artifacts", refuse)
    assert ("mlflow-unreachable", "MLflow") in named(patient.examine().findings)
