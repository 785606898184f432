"""Searches as the console reads them, without a database."""

from dataclasses import replace
from typing import Any

from dashboards.console.searched import Searched, Span
from search.database.tables import Job
from tests.search.conftest import make_spec

SPEC = make_spec()


def found(*trials: tuple[str, str, list[float]], **more: Any) -> Searched:
    """A search whose trials have a cell, a state, and a value an epoch."""
    rows = [
        {
            "study": "tiny-0001", "trial": number, "state": state, "cell": cell, "baseline": False,
            "value": max(values) if state == "complete" else None,
            "best_epoch_value": max(values, default=None), "epochs": len(values),
            "params": {"cell": cell, "hidden_size": number, "learning_rate": 2**number / 1000},
            "costs": {"weights": 1000 * (number + 1)},
        }
        for number, (cell, state, values) in enumerate(trials)
    ]  # fmt: skip
    job = Job(id="tiny-0001", document=SPEC.to_json(), revision=1, status="running")
    known = {number: tuple(values) for number, (_, _, values) in enumerate(trials)}
    spans = {number: Span(1000 * number, 1000 * number + 1500, "here") for number in known}
    return replace(Searched(job, rows, known, spans), **more)


SOME = found(
    ("lstm", "complete", [0.5, 0.8]),
    ("gru", "pruned", [0.4]),
    ("gru", "complete", [0.6, 0.7]),
    ("lstm", "running", [0.3]),
)
