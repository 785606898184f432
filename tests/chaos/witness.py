"""What the study had acknowledged when a fault came, and must still say in the end."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from search.database.store import Store, StoreError
from search.database.tables import JournalRow

Epoch = tuple[str, int, int]
"""Study, trial, epoch."""

ENDED = text(
    "SELECT studies.study_name, trials.number, trials.state, trial_values.value "
    "FROM trials JOIN studies ON studies.study_id = trials.study_id "
    "LEFT JOIN trial_values ON trial_values.trial_id = trials.trial_id "
    "WHERE trials.state IN ('COMPLETE', 'PRUNED', 'FAIL')"
)


@dataclass
class Witness:
    """Remembers every epoch and every ended trial that it has seen."""

    epochs: dict[Epoch, tuple[Any, ...]] = field(default_factory=dict)
    ended: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)

    def look(self, store: Store) -> None:
        """Remember what the database says now, if it answers."""
        try:
            epochs, ended = read(store)
        except (SQLAlchemyError, StoreError):
            return  # it is away, or its tables are being made
        # What was seen first counts.
        self.epochs = epochs | self.epochs
        self.ended = ended | self.ended


def read(
    store: Store,
) -> tuple[dict[Epoch, tuple[Any, ...]], dict[tuple[str, int], tuple[Any, ...]]]:
    """Return all epochs and all ended trials of a database."""
    with store.session() as session:
        rows = session.scalars(select(JournalRow)).all()
        ended = session.execute(ENDED).all()
    return (
        {(r.study, r.trial, r.epoch): (r.time_ms, r.metrics, r.verdict, r.pruner) for r in rows},
        {(study, number): (state, value) for study, number, state, value in ended},
    )
