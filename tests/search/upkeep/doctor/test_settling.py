"""What `gatetune up` does on its own."""

from search.tracking.tracking import Tracking
from search.upkeep.doctor.settling import settle
from search.upkeep.doctor.treatment import doctor
from tests.search.upkeep.doctor.conftest import JOB, Patient


def test_a_job_in_order_is_left_alone(patient: Patient) -> None:
    assert settle(patient.home) == []


def test_what_waits_is_delivered(patient: Patient) -> None:
    run_id = patient.run_id(0)
    patient.tracking.client.update_run(run_id, status="RUNNING")
    patient.sql("UPDATE runs SET delivered = NULL WHERE trial = 0")
    (report,) = settle(patient.home)
    assert (report.id, report.agree) == (JOB, True)
    assert patient.tracking.client.get_run(run_id).info.status == "FINISHED"


def test_what_a_dead_driver_left_is_closed(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET status = 'running'")
    (report,) = settle(patient.home)
    assert report.agree
    parent = patient.tracking.client.get_run(patient.run_id(-1))
    assert parent.info.status in {"FINISHED", "KILLED"}
    assert patient.value("SELECT status FROM jobs") in {"finished", "stopped"}


def test_a_job_that_is_deleted_meanwhile_is_passed_over(patient: Patient) -> None:
    found = doctor(patient.examiner, ["gone-0001", JOB], repair=True, everything=False)
    assert [one.id for one in found.jobs] == [JOB]


def test_a_run_that_is_taken_back_is_deleted_no_more(patient: Patient) -> None:
    patient.tracking.delete(patient.run_id(1))
    assert patient.treat().agree
    client = patient.tracking.client
    client.delete_experiment(patient.tracking.experiment_id)
    Tracking(patient.home, "tiny-0002", "tiny")  # takes the experiment back
    assert client.get_run(patient.run_id(1)).info.lifecycle_stage == "active"


def test_nothing_is_created_where_there_are_no_jobs(patient: Patient) -> None:
    (patient.home.path / "gatetune.db").unlink()
    assert settle(patient.home) == []
    assert not (patient.home.path / "gatetune.db").exists()
