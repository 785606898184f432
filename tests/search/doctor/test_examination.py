"""A job in order agrees; each way to be in disorder is named, and mended where that can be."""

from tests.search.doctor.conftest import Patient


def test_a_finished_job_agrees(patient: Patient) -> None:
    report = patient.examine()
    assert report.findings == []
    assert (report.trials, report.epochs, report.runs) == (12, 39, 13)
