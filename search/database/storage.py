"""Optuna's storage on our database, every commit of it fenced by the driver's lease."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    StudyModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.storages._rdb.models import TrialIntermediateValueModel as EpochValue
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Connection,
    Executable,
    bindparam,
    delete,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from search.common.texts import first_line
from search.database.lease import Lease
from search.database.store import SILENT, DatabaseAwayError, Store, settings_of, tune
from search.database.tables import confirmation
from search.document.sections import Direction

optuna.logging.set_verbosity(optuna.logging.WARNING)
# It warns of a connection that was lost, which its error tells as well.
logging.getLogger("psycopg").setLevel(logging.ERROR)

Statement = tuple[Executable, dict[str, Any] | list[dict[str, Any]]]
"""A statement that is made once, since making it costs as much as running it, and its values, of
one row or of several."""

PARTS = (TrialParamModel, TrialUserAttributeModel, TrialSystemAttributeModel)
"""Optuna's tables with what a trial is given, beside that of trials."""

DATABASE_AWAY = (DatabaseAwayError, StorageInternalError, *SILENT)
"""What we, Optuna and SQLAlchemy raise while the database does not answer."""


def open_storage(store: Store) -> RDBStorage:
    """Return Optuna's storage on the database of ``store``; Optuna makes and owns its tables."""
    known = store.has_studies
    with nullcontext() if known else store.tables_locked():
        storage = RDBStorage(
            store.url,
            engine_kwargs=settings_of(store.url),
            skip_compatibility_check=known,
            skip_table_creation=known,
        )
    store.has_studies = True
    storage.engine.dispose()  # the connections so far lack our settings
    tune(storage.engine)
    return storage


@contextmanager
def using_storage(store: Store) -> Iterator[RDBStorage]:
    """Yield Optuna's storage, and close its connections in the end."""
    storage = open_storage(store)
    try:
        yield storage
    finally:
        storage.engine.dispose()


@contextmanager
def using_study(store: Store, name: str) -> Iterator[optuna.Study]:
    """Yield the study ``name``, whose trials are read from the database.

    Raises:
        KeyError: there is no such study.
    """
    with using_storage(store) as storage:
        yield optuna.load_study(study_name=name, storage=storage)


IDLE_S = 1.0
"""How long a connection may have been idle before it is looked at whether it still holds."""


class FencedStorage:
    """Optuna's storage in the hands of one driver.

    Each of its transactions checks the lease first, so a driver that lost its job can commit
    nothing. What a trial goes through is written by statements of our own, into Optuna's tables and
    ours at once: Optuna's own methods read before they write, and commit each by itself.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self.optuna = open_storage(store)
        self.lease = lease
        self.address = store.address
        self.dialect = store.engine.dialect.name
        self.connection = self.optuna.engine.connect()
        self.used = time.monotonic()
        self.set_value = self.insert_value(EpochValue, "step", "intermediate_value")
        self.set_result = self.insert_value(TrialValueModel, "objective", "value")
        self.set_state = update(TrialModel.__table__).where(
            TrialModel.trial_id == bindparam("of_trial")
        )
        self.add_attribute = self.insert_once(TrialUserAttributeModel)
        self.add_trial = insert(TrialModel.__table__).returning(TrialModel.trial_id)
        # Inline: PostgreSQL is not asked for the key of the new row.
        self.add_parts = [insert(model.__table__).inline() for model in PARTS]
        event.listen(self.optuna.scoped_session.session_factory, "before_commit", self.join)

    def join(self, session: Session) -> None:
        """Check the lease in a transaction of Optuna's own."""
        self.lease.check(session.connection())

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, of which `fenced` is to be a part.

        Raises:
            DatabaseAwayError: the database went away; whether it was committed is not known.
        """
        try:
            if time.monotonic() - self.used > IDLE_S:
                self.connection.close()
                self.connection = self.optuna.engine.connect()  # the pool makes sure of it
            with self.connection.begin():
                yield self.connection
            self.used = time.monotonic()
        except SILENT as error:
            raise DatabaseAwayError(f"database {self.address}: {first_line(error)}") from error

    def fenced(self, connection: Connection, *statements: Statement) -> None:
        """Run statements that return nothing, in a transaction that a lost lease undoes.

        Raises:
            LeaseLostError: another driver took the job.
        """
        with together(connection):
            renewed = self.lease.renew(connection)
            for statement, values in statements:
                connection.execute(statement, values)
        self.lease.confirm(renewed)

    def commit(self, *statements: Statement) -> None:
        """Run statements in one transaction; raises as `transaction` and `fenced` do."""
        with self.transaction() as connection:
            self.fenced(connection, *statements)

    def create(self, study_id: int, trial: FrozenTrial, *statements: Statement) -> int:
        """Write a new trial whole, and run statements with it; return the trial's id.

        Raises as `transaction` and `fenced` do.
        """
        started, parts = trial.datetime_start, parts_of(trial)
        record = {
            "study_id": study_id,
            "number": trial.number,
            "state": trial.state,
            "datetime_start": started and started.astimezone(UTC).replace(tzinfo=None),
        }
        with self.transaction() as connection:
            trial_id = int(connection.execute(self.add_trial, record).scalar_one())
            whole = [
                (add, [{"trial_id": trial_id} | row for row in rows])
                for add, rows in zip(self.add_parts, parts, strict=True)
                if rows
            ]
            self.fenced(connection, *whole, *statements)
            return trial_id

    def state(self, trial_id: int, state: TrialState) -> Statement:
        """Return the statement that sets a trial's state, and since when it has it."""
        values: dict[str, Any] = {"of_trial": trial_id, "state": state}
        if state is not TrialState.WAITING:
            column = "datetime_complete" if state.is_finished() else "datetime_start"
            values[column] = datetime.now(UTC).replace(tzinfo=None)
        return self.set_state, values

    def result(self, trial_id: int, value: float) -> Statement:
        """Return the statement that sets what a trial has reached in all."""
        stored, kind = TrialValueModel.value_to_stored_repr(value)
        values = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
        return self.set_result, values

    def value(self, trial_id: int, epoch: int, value: float) -> Statement:
        """Return the statement that sets a trial's objective after an epoch."""
        stored, kind = EpochValue.intermediate_value_to_stored_repr(value)
        return self.set_value, {
            "trial_id": trial_id,
            "step": epoch,
            "intermediate_value": stored,
            "intermediate_value_type": kind,
        }

    def insert_value(self, table: type[Any], place: str, value: str) -> Executable:
        """Return the insert of a trial's value, which replaces one that is there already.

        Args:
            table: where to.
            place: the column that tells a trial's values apart.
            value: the column of the value, which has one of its kind beside it.
        """
        made = self.insert(table).inline()
        return made.on_conflict_do_update(
            index_elements=["trial_id", place],
            set_={name: made.excluded[name] for name in (value, f"{value}_type")},
        )

    def insert_once(self, table: type[DeclarativeBase], **values: Any) -> Executable:
        """Return an insert that leaves a row that is already there as it is.

        Args:
            table: where to.
            values: that are computed by the database; the others are given with the statement.
        """
        return self.insert(table).inline().values(**values).on_conflict_do_nothing()

    def insert(self, table: type[Any]) -> postgresql.Insert | sqlite.Insert:
        """Return an insert that may say what happens to a row that is already there."""
        return postgresql.insert(table) if self.dialect == "postgresql" else sqlite.insert(table)

    def attribute(self, trial_id: int, key: str, value: object) -> Statement:
        """Return the statement that gives a trial an attribute, unless it has it already."""
        return self.add_attribute, {
            "trial_id": trial_id,
            "key": key,
            "value_json": json.dumps(value),
        }

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()
        self.optuna.engine.dispose()


@contextmanager
def together(connection: Connection) -> Iterator[None]:
    """Send PostgreSQL what the block runs without waiting for each answer, as SQLite needs not.

    No statement may return rows. How many rows they met is known after the block.
    """
    if connection.dialect.name == "sqlite":
        yield
        return
    driven: Any = connection.connection.driver_connection
    driver: Any = connection.dialect.loaded_dbapi
    try:
        with driven.pipeline():
            yield
    except driver.Error as error:
        # Outside of a statement SQLAlchemy sees neither the error nor that the connection is gone.
        lost = driven.closed or driven.broken
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, driver.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error


def parts_of(trial: FrozenTrial) -> tuple[list[dict[str, Any]], ...]:
    """Return the rows of `PARTS` that a trial without epochs has.

    Raises:
        ValueError: a parameter is not of its distribution.
    """
    parameters = [
        {
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]
    attributes = (
        [{"key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
        for attrs in (trial.user_attrs, trial.system_attrs)
    )
    return parameters, *attributes


def ensure_study(storage: RDBStorage, name: str, direction: str) -> int:
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


def both_studies(store: Store, job_id: str) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return the trials of a job's search and of its confirmation."""
    with using_storage(store) as storage:
        searched, confirmed = (
            list(read_trials(storage, name)) for name in (job_id, confirmation(job_id))
        )
    return searched, confirmed


def in_memory_study(name: str, *directions: Direction) -> optuna.Study:
    """Return a study that lives in this process alone."""
    return optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        study_name=name,
        directions=directions,
        pruner=optuna.pruners.NopPruner(),
    )


def delete_studies(session: Session, *names: str) -> None:
    """Delete studies and their trials, those that there are.

    Optuna's own function first reads every row of theirs, a gigabyte for 10,000 trials.
    """
    if not inspect(session.connection()).has_table(StudyModel.__tablename__):
        return  # no job has begun yet
    studies = select(StudyModel.study_id).where(StudyModel.study_name.in_(names))
    trials = select(TrialModel.trial_id).where(TrialModel.study_id.in_(studies))
    for table in reversed(TrialModel.metadata.sorted_tables):
        if "study_id" in table.c:
            session.execute(delete(table).where(table.c.study_id.in_(studies)))
        elif "trial_id" in table.c:
            session.execute(delete(table).where(table.c.trial_id.in_(trials)))
