"""MLflow's own file, made by the MLflow of another day."""

from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config, _verify_schema
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from search.common.home import Home
from search.tracking.ownfile import UpgradeError, upgrade


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
    with pytest.raises(UpgradeError, match=f"MLflow cannot upgrade {installation.tracking_path}: "):
        upgrade(installation)
