"""Whatever stands in the rows: findings, and never a traceback."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.search.upkeep.doctor.conftest import JOB, Patient

ANYTHING = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=8),
    st.sampled_from(
        ["null", "[]", "{}", "5", '{"a": []}', '{"val_accuracy": NaN}', '{"val_accuracy": 1e999}',
         '{"val_accuracy": ' + "9" * 400 + "}", "[" * 5000, '{"val_accuracy": null}', "\ud800"[:0]]
    ),
)  # fmt: skip
DAMAGE = {
    "journal": ("trial", "epoch", "time_ms", "metrics", "verdict", "pruner", "delivered"),
    "runs": ("parameters", "status", "tag", "delivered", "reason", "name"),
    "jobs": ("document", "result", "model", "dataset", "lease_owner", "closed", "status"),
}
PLACES = [(table, column) for table, columns in DAMAGE.items() for column in columns]


@pytest.mark.parametrize("repair", [False, True])
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    damages=st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING, st.integers(0, 45)), max_size=3)
)
def test_no_damage_of_rows_gives_a_traceback(
    patient: Patient, repair: bool, damages: list[tuple[tuple[str, str], Any, int]]
) -> None:
    keep(patient)
    for (table, column), value, row in damages:
        spoil(patient, table, column, value, row)
    report = patient.treat() if repair else patient.examine()
    assert report.id == JOB
    assert all(one.message for one in report.findings)


def keep(patient: Patient) -> None:
    """Put the rows back as they were before the first example."""
    with patient.store.engine.begin() as connection:
        for table in DAMAGE:
            known = connection.execute(
                text("SELECT count(*) FROM sqlite_master WHERE name = :n"), {"n": f"kept_{table}"}
            ).scalar_one()
            if not known:
                copy = f"CREATE TABLE kept_{table} AS SELECT * FROM {table}"  # noqa: S608
                connection.exec_driver_sql(copy)
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
            connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608


def spoil(patient: Patient, table: str, column: str, value: Any, row: int) -> None:
    statement = (
        f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = "  # noqa: S608
        f"(SELECT rowid FROM {table} LIMIT 1 OFFSET ? % (SELECT count(*) FROM {table}))"
    )
    with patient.store.engine.begin() as connection:
        connection.exec_driver_sql(statement, (value, row))
