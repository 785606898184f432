"""The ways that we know for a job to be in disorder: what is done, and what is found then."""

from tests.search.upkeep.doctor.ills import (
    drivers,
    files,
    journal,
    mlflow_runs,
    model,
    run_rows,
    study,
)
from tests.search.upkeep.doctor.ills.entry import ENTERED, Ill

TOPICS = (study, journal, run_rows, mlflow_runs, model, files, drivers)
"""In the order in which their ills are tried."""

ILLS: dict[str, Ill] = {
    name: one
    for topic in TOPICS
    for name, one in ENTERED.items()
    if one.plant.__module__ == topic.__name__
}
