"""Our tables, on every database that they may live in."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text, update

import search.database.migrations
from search.database.storage import open_storage
from search.database.store import HEAD, VERSION_TABLE, DatabaseAwayError, Store, StoreError
from search.database.store import undelivered as count_undelivered
from search.database.tables import Base, Job, JournalRow, Run
from search.document.spec import JobSpec, parse_job
from tests.search.conftest import add_job, make_spec
from tests.servers import free_port


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(search.database.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


@pytest.fixture
def opened(url: str) -> Iterator[Store]:
    """Tables that `Store.open` has made here, Optuna's not among them."""
    store = Store.open(url)
    yield store
    store.close()


class TestOnEveryDatabase:
    def test_migrations_make_the_tables_of_the_models(self, opened: Store) -> None:
        with opened.engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
            )
            assert compare_metadata(context, Base.metadata) == []

    def test_opening_again_changes_nothing(self, opened: Store) -> None:
        add_job(opened, make_spec())
        again = Store.open(opened.url)
        assert again.revision() == HEAD
        with again.session() as session:
            assert session.get_one(Job, "tiny-0001").elapsed_s == 0.0
        again.close()

    def test_first_starts_at_once_make_the_tables_once(self, url: str) -> None:
        starts = 4
        barrier = threading.Barrier(starts)

        def start(_: int) -> str | None:
            barrier.wait()
            store = Store.open(url)
            revision = store.revision()
            store.close()
            return revision

        with ThreadPoolExecutor(starts) as pool:
            assert list(pool.map(start, range(starts))) == [HEAD] * starts

    def test_first_readers_at_once_make_optunas_tables_once(self, opened: Store) -> None:
        readers = 6
        barrier = threading.Barrier(readers)

        def read(_: int) -> int:
            barrier.wait()
            storage = open_storage(opened)
            found = len(storage.get_all_studies())
            storage.engine.dispose()
            return found

        with ThreadPoolExecutor(readers) as pool:
            assert list(pool.map(read, range(readers))) == [0] * readers

    @pytest.mark.parametrize("statement", ["CREATE TABLE journal", "ALTER TABLE"])
    def test_a_first_start_that_is_broken_off_leaves_nothing(
        self, url: str, statement: str
    ) -> None:
        broken = Store(url)

        @event.listens_for(broken.engine, "after_cursor_execute")
        def break_off(_c: Any, _cursor: Any, sql: str, *_: Any) -> None:
            if statement in sql:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            broken.migrate(upgrade=False)
        assert broken.revision() is None
        broken.close()
        Store.open(url).close()

    def test_an_older_database_is_refused_until_it_is_migrated(self, url: str) -> None:
        old = Store(url)
        with old.engine.begin() as connection:
            config = Config()
            config.set_main_option(
                "script_location", str(Path(search.database.migrations.__file__).parent)
            )
            config.attributes["connection"] = connection
            command.upgrade(config, "0002")
        old.close()
        with pytest.raises(StoreError, match=r"version 0002, older .*`gatetune migrate`"):
            Store.open(url)
        Store.open(url, upgrade=True).close()
        Store.open(url).close()

    @pytest.mark.parametrize(
        ("document", "kept"),
        [
            ("space: {layers: [1, 2]}", {"training": {"learning_rate": 0.001}}),
            ("space: {layers: [1]}\ntraining: {learning_rate: 0.1}", {}),
            (
                "space: {learning_rate: [0.001, 0.01]}\nbaseline: [{layers: 1}, {layers: 3}]",
                {"baseline": [{"layers": n, "learning_rate": 0.001} for n in (1, 3)]},
            ),
            (
                "space: {layers: [1, 2], learning_rate: {choices: [0.1], when: {layers: 2}}}",
                {"training": {"learning_rate": 0.001}},
            ),
        ],
    )
    def test_older_jobs_keep_the_learning_rate_that_was_the_default(
        self, opened: Store, document: str, kept: dict[str, Any]
    ) -> None:
        spec = parse_job(f"data: {{source: digits}}\n{document}")
        add_job(opened, spec)
        with opened.engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0005'"))  # noqa: S608
        Store.open(opened.url, upgrade=True).close()
        with opened.session() as session:
            found = JobSpec.from_json(session.get_one(Job, "tiny-0001").document)
        assert found == spec.model_copy(update=kept)

    def test_a_newer_database_is_refused(self, opened: Store) -> None:
        with opened.engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
        with pytest.raises(StoreError, match=r"cannot use the database .*9999, newer than"):
            Store.open(opened.url)

    def test_a_session_that_raises_writes_nothing(self, opened: Store) -> None:
        add_job(opened, make_spec())

        def write() -> None:
            with opened.session() as session:
                session.execute(update(Job).values(message="half-way"))
                raise KeyError("stop")

        with pytest.raises(KeyError, match="stop"):
            write()
        with opened.session() as session:
            assert session.get_one(Job, "tiny-0001").message is None

    def test_undelivered_counts_epochs_and_statuses(self, opened: Store) -> None:
        job_id = add_job(opened, make_spec())
        with opened.session() as session:
            for trial, known in enumerate(("RUNNING//0/", "FINISHED//0/", None)):
                run = Run(study=job_id, trial=trial, job_id=job_id, name="", parameters="{}",
                          status="FINISHED", started_ms=0, delivered=known)  # fmt: skip
                epoch = JournalRow(study=job_id, trial=trial, epoch=1, job_id=job_id, time_ms=0,
                                   metrics="{}", verdict="continue", pruner="{}",
                                   delivered=trial > 0)  # fmt: skip
                session.add_all([run, epoch])
        assert count_undelivered(opened, job_id) == 2 + 1
        assert count_undelivered(opened, "other") == 0


def test_a_server_that_may_not_be_written_to_just_now_is_away(postgres_store: Store) -> None:
    """As PostgreSQL is while another takes over."""

    def write() -> None:
        with postgres_store.session() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            session.execute(text("UPDATE jobs SET priority = 1"))

    with pytest.raises(DatabaseAwayError, match="read-only transaction"):
        write()


def test_a_server_ends_a_transaction_whose_owner_fell_silent(postgres_store: Store) -> None:
    with postgres_store.session() as session:
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    optuna = open_storage(postgres_store)
    with optuna.engine.connect() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    optuna.engine.dispose()


def test_an_unreachable_server_is_named_without_its_password() -> None:
    url = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/search"
    with pytest.raises(StoreError, match=r"cannot use the database .*me:\*\*\*@127") as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gatetune.db").write_text("not a database" * 100)
    with pytest.raises(
        StoreError, match=r"is damaged \(file is not a database\); restore a backup"
    ):
        Store.open(f"sqlite:///{tmp_path / 'gatetune.db'}")


def test_a_file_that_was_damaged_is_said(store: Store) -> None:
    add_job(store, make_spec())
    optuna = open_storage(store)
    with store.engine.begin() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        size = int(connection.execute(text("PRAGMA page_size")).scalar_one())
    store.close()
    optuna.engine.dispose()
    with Path(store.url.removeprefix("sqlite:///")).open("r+b") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(size)  # the first page has the tables' names
        file.write(b"\xff" * (length - size))
    with pytest.raises(StoreError, match=r"is damaged .*malformed"), store.session() as session:
        session.get(Job, "tiny-0001")
    with pytest.raises(StoreError, match=r"is damaged .*malformed"):
        optuna.get_all_studies()


def test_a_disk_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gatetune.db").mkdir()  # which SQLite cannot open either
    monkeypatch.setattr("search.database.store.os.access", lambda *_: False)
    with pytest.raises(StoreError, match=rf"unable to open.*; {tmp_path} cannot be"):
        Store.open(f"sqlite:///{tmp_path / 'gatetune.db'}")


def test_a_database_that_goes_away_is_named(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("DROP TABLE jobs"))
    with pytest.raises(StoreError, match=r"database sqlite:///.*gatetune\.db: .*no such table"):
        add_job(store, make_spec())


def test_looking_for_a_sqlite_file_does_not_make_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gatetune.db'}"
    assert not Store.exists(url)
    assert list(tmp_path.iterdir()) == []
    Store.open(url).close()
    assert Store.exists(url)
    assert Store.exists("postgresql+psycopg://anywhere/search")


def test_sqlite_lets_readers_and_the_writer_work_at_once(store: Store) -> None:
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_run_is_undelivered_until_mlflow_knows_status_and_tag() -> None:
    run = Run(status="KILLED", tag="pruned", attempts=1, ended_ms=9000, delivered="KILLED//1/9000")
    assert run.is_undelivered
    run.delivered = run.told
    assert run.told == "KILLED/pruned/1/9000"
    assert not run.is_undelivered


def test_databases_are_opened_side_by_side_in_one_process(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / str(number) / 'gatetune.db'}" for number in range(6)]
    for number in range(6):
        (tmp_path / str(number)).mkdir()
    with ThreadPoolExecutor() as pool:
        for store in pool.map(Store.open, urls):
            open_storage(store).engine.dispose()
            store.close()
