"""MLflow's own file, made by the MLflow of another day."""

import errno
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config, _verify_schema
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from search.common.home import Home
from search.tracking.ownfile import UpgradeError, make, upgrade
from search.tracking.tracking import NewRun, Tracking

MAKING = """
import sys
from pathlib import Path
from search.tracking.ownfile import make
make(Path(sys.argv[1]), "file:///nowhere")
"""
MAKE = (sys.executable, "-c", MAKING)


@pytest.fixture
def installation(home: Path) -> Home:
    made = Home.from_environment()
    made.create()
    return made


def test_a_file_of_an_older_mlflow_is_brought_up_to_date(installation: Home) -> None:
    engine = sqlalchemy.create_engine(installation.tracking_uri)
    InitialBase.metadata.create_all(engine)
    config = _get_alembic_config(installation.tracking_uri)  # type: ignore[no-untyped-call]
    newest = ScriptDirectory.from_config(config).get_revision("head")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(newest.down_revision))
        connection.exec_driver_sql(
            "INSERT INTO experiments (name, lifecycle_stage) VALUES ('Default', 'active')"
        )
    make(installation.tracking_path, "file:///nowhere")  # which leaves it as it is
    with pytest.raises(MlflowException, match="out-of-date database schema"):
        _verify_schema(engine)  # type: ignore[no-untyped-call]

    assert upgrade(installation)

    _verify_schema(engine)  # type: ignore[no-untyped-call]
    engine.dispose()


def test_where_there_is_no_file_none_is_made(installation: Home) -> None:
    assert not upgrade(installation)
    assert not installation.tracking_path.exists()


def test_a_server_elsewhere_is_left_alone(
    installation: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.tracking_path.write_text("of an earlier day")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert not upgrade(Home.from_environment())


def test_a_file_that_is_no_database_is_named(installation: Home) -> None:
    installation.tracking_path.write_text("of somebody else, and no database")
    why = "MLflow cannot upgrade .*mlflow.db: .*DatabaseError.* file is not a database"
    with pytest.raises(UpgradeError, match=why):
        upgrade(installation)


def test_a_file_that_was_half_made_is_made_again(installation: Home) -> None:
    path = installation.tracking_path
    engine = sqlalchemy.create_engine(installation.tracking_uri)
    InitialBase.metadata.create_all(engine)  # the first of MLflow's steps, in which it was killed
    engine.dispose()

    subprocess.run([*MAKE, str(path)], check=True)  # which has imported nothing before
    assert len(list(path.parent.glob("mlflow.db.half-made-????????"))) == 1
    assert Tracking(installation, "tiny-0001", "tiny").existing() == {}
    assert not list(path.parent.glob("*.new-*"))


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE mine (id INTEGER)"],
        ["CREATE TABLE experiments (id INTEGER)", "CREATE TABLE mine (id INTEGER)"],
        [
            "CREATE TABLE experiments (id INTEGER)",
            "CREATE TABLE registered_models (name TEXT)",
            "INSERT INTO registered_models VALUES ('mine')",
        ],
    ],
)
def test_a_file_in_which_somebody_has_something_is_left_alone(
    installation: Home, statements: list[str]
) -> None:
    path = installation.tracking_path
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    before = path.read_bytes()
    make(path, "file:///nowhere")
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.glob("mlflow.db*")] == ["mlflow.db"]


def test_a_file_is_there_whole_or_not_at_all(
    installation: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.store.db.utils._upgrade_db", full)
        with pytest.raises(OSError, match="No space left"):
            Tracking(installation, "tiny-0001", "tiny")
    assert not list(installation.path.glob("mlflow.db*"))
    both = [subprocess.Popen([*MAKE, str(installation.tracking_path)]) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert [one.name for one in installation.path.glob("mlflow.db*")] == ["mlflow.db"]
    assert Tracking(installation, "tiny-0001", "tiny").existing() == {}


def test_artifacts_are_found_where_the_home_was_moved_to(
    installation: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Tracking(installation, "tiny-0001", "tiny")
    run_id = before.create(NewRun(("tiny-0001", 0), "run 0", 1, None))
    before.client.log_text(run_id, "said", "before.txt")
    moved = installation.path.rename(installation.path.with_name("moved"))
    monkeypatch.setenv("GATETUNE_HOME", str(moved))

    after = Tracking(Home.from_environment(), "tiny-0001", "tiny")
    again = after.create(NewRun(("tiny-0001", 1), "run 1", 2, None))
    after.client.log_text(again, "said", "after.txt")

    assert [one.path for one in after.client.list_artifacts(run_id)] == ["before.txt"]
    assert (moved / "artifacts" / "tiny" / again / "artifacts" / "after.txt").exists()
    assert not installation.path.exists()
