"""Optuna's storage on our database, every commit of it fenced by the driver's lease."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialIntermediateValueModel as EpochValue
from optuna.storages._rdb.models import TrialUserAttributeModel
from optuna.trial import FrozenTrial
from sqlalchemy import Executable, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from search.lease import Lease
from search.sections import Direction
from search.store import DatabaseAwayError, Store, settings_of, tune_sqlite

optuna.logging.set_verbosity(optuna.logging.WARNING)

Statement = tuple[Executable, dict[str, Any]]
"""A statement that is made once, since making it costs as much as running it, and its values."""

DATABASE_AWAY = (DatabaseAwayError, StorageInternalError, OperationalError, InterfaceError)
"""What we, Optuna and SQLAlchemy raise while the database does not answer."""


def open_storage(store: Store) -> RDBStorage:
    """Return Optuna's storage on the database of ``store``; Optuna makes and owns its tables."""
    sqlite_store = store.engine.dialect.name == "sqlite"
    with store.tables_locked():
        storage = RDBStorage(store.url, engine_kwargs=settings_of(store.url))
    if sqlite_store:
        storage.engine.dispose()  # the connections so far lack our settings
        tune_sqlite(storage.engine)
    return storage


class FencedStorage:
    """Optuna's storage in the hands of one driver.

    Each of its transactions checks the lease first, so a driver that lost its job can commit
    nothing, and carries our own statements along, so that they hold exactly if Optuna's do.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self.optuna = open_storage(store)
        self.lease = lease
        self.dialect = store.engine.dialect.name
        self.set_value = self.insert_value()
        self.pending: list[Statement] = []
        self.committed = False
        self.add_attribute = self.insert_once(TrialUserAttributeModel)
        event.listen(self.optuna.scoped_session.session_factory, "before_commit", self.join)

    def join(self, session: Session) -> None:
        """Check the lease and run the statements that wait for this commit.

        Optuna repeats a commit that failed. Whether it went through all the same is not known, and
        a trial that is created again is a second one: the study has to be read again instead.
        """
        self.lease.check(session.connection())
        if not self.pending:
            return
        if self.committed:
            raise DatabaseAwayError("the database went away during a commit")
        self.committed = True
        for statement, values in self.pending:
            session.connection().execute(statement, values)

    @contextmanager
    def along(self, *statements: Statement) -> Iterator[RDBStorage]:
        """Yield Optuna's storage; the one commit made in the block carries ``statements``."""
        self.pending, self.committed = list(statements), False
        try:
            yield self.optuna
        finally:
            self.pending = []

    def commit(self, *statements: Statement) -> None:
        """Run statements in a transaction of their own, which checks the lease first.

        Raises:
            LeaseLostError: another driver took the job; nothing was written.
            DatabaseAwayError: the database went away; whether they were written is not known.
        """
        with self.lease.session() as session:
            connection = session.connection()
            for statement, values in statements:
                connection.execute(statement, values)

    def value(self, trial_id: int, epoch: int, value: float) -> Statement:
        """Return the statement that sets a trial's objective after an epoch.

        Optuna's own way takes twice the time: it looks for trial and row before it writes.
        """
        stored, kind = EpochValue.intermediate_value_to_stored_repr(value)
        return self.set_value, {
            "trial_id": trial_id,
            "step": epoch,
            "intermediate_value": stored,
            "intermediate_value_type": kind,
        }

    def insert_value(self) -> Executable:
        """Return the insert of an epoch's objective, which replaces one that is there already."""
        made = self.insert(EpochValue)
        columns = ("intermediate_value", "intermediate_value_type")
        return made.on_conflict_do_update(
            index_elements=["trial_id", "step"],
            set_={name: made.excluded[name] for name in columns},
        )

    def insert_once(self, table: type[DeclarativeBase], **values: Any) -> Executable:
        """Return an insert that leaves a row that is already there as it is.

        Args:
            table: where to.
            values: that are computed by the database; the others are given with the statement.
        """
        return self.insert(table).values(**values).on_conflict_do_nothing()

    def insert(self, table: type[Any]) -> postgresql.Insert | sqlite.Insert:
        """Return an insert that may say what happens to a row that is already there."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    def attribute(self, trial_id: int, key: str, value: object) -> Statement:
        """Return the statement that gives a trial an attribute, unless it has it already.

        Optuna's own way is another commit, which costs as much as one of an epoch.
        """
        return self.add_attribute, {
            "trial_id": trial_id,
            "key": key,
            "value_json": json.dumps(value),
        }

    def close(self) -> None:
        """Close the pooled connections."""
        self.optuna.engine.dispose()


def study_id(storage: RDBStorage, name: str, direction: str) -> int:
    """Return the id of the study ``name``, created where it is missing."""
    try:
        return storage.get_study_id_from_name(name)
    except KeyError:
        return storage.create_new_study([optuna.study.StudyDirection[direction.upper()]], name)


def read_trials(storage: RDBStorage, name: str) -> Sequence[FrozenTrial]:
    """Return the trials of the study ``name`` by number; none where there is no such study."""
    try:
        return storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    except KeyError:
        return []


def trials_of(store: Store, job_id: str) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return the trials of a job's search and of its confirmation."""
    storage = open_storage(store)
    try:
        searched, confirmed = (
            list(read_trials(storage, name)) for name in (job_id, f"{job_id}/confirm")
        )
    finally:
        storage.engine.dispose()
    return searched, confirmed


def in_memory_study(name: str, *directions: Direction) -> optuna.Study:
    """Return a study that lives in this process alone."""
    return optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        study_name=name,
        directions=directions,
        pruner=optuna.pruners.NopPruner(),
    )
