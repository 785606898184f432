"""Ills that a driver leaves in the row of its job."""

from tests.search.upkeep.doctor.conftest import Patient
from tests.search.upkeep.doctor.ills.entry import ill


@ill(("driver-dead", "job"))
def a_driver_that_died_while_it_concluded(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET status = 'running'")


@ill(("lease-left", "job"))
def a_lease_that_lapsed(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET lease_owner = 'elsewhere/1/2:1:2:ab', lease_until = 5")


@ill(("status-unknown", "job"), curable=False)
def a_status_that_is_none(patient: Patient) -> None:
    patient.sql("UPDATE jobs SET status = 'on holiday'")
