"""Statements that reach PostgreSQL together, and what becomes of their errors."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import IntegrityError

from search.database.lease import Lease
from search.database.storage import FencedStorage, Statement, together
from search.database.store import DatabaseAwayError, Store
from search.database.tables import Job
from search.document.spec import JobSpec
from tests.search.conftest import end_others, make_spec

MESSAGE: Statement = update(Job).values(message="written"), {}
TWICE: Statement = text("INSERT INTO jobs SELECT * FROM jobs"), {}


@pytest.fixture
def storage(
    postgres_store: Store, owned: Callable[[Store, JobSpec], Lease]
) -> Iterator[FencedStorage]:
    made = FencedStorage(postgres_store, owned(postgres_store, make_spec()))
    yield made
    made.close()


def message(store: Store) -> str | None:
    with store.session() as session:
        return session.scalars(select(Job.message)).one()


def test_a_statement_that_fails_is_told_and_undoes_the_others(
    storage: FencedStorage, postgres_store: Store
) -> None:
    with pytest.raises(IntegrityError, match="duplicate key value"):
        storage.commit(MESSAGE, TWICE)
    assert message(postgres_store) is None
    storage.commit(MESSAGE)
    assert message(postgres_store) == "written"


def test_a_connection_that_breaks_is_told_once_and_made_anew(
    storage: FencedStorage, postgres_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    storage.commit()
    end_others(postgres_store.engine)
    with pytest.raises(DatabaseAwayError, match=r"terminating|server closed"):
        storage.commit(MESSAGE)
    assert caplog.messages == []
    storage.commit(MESSAGE)
    assert message(postgres_store) == "written"


def test_nobody_waits_for_an_answer_within(storage: FencedStorage) -> None:
    def rows(connection: Connection) -> int:
        return connection.execute(*MESSAGE).context.cursor.rowcount

    with storage.transaction() as connection, together(connection):
        assert rows(connection) == -1
    with storage.transaction() as connection:
        assert connection.execute(*MESSAGE).rowcount == 1
