"""What the commands are called with: a document, and an installation with a job."""

from pathlib import Path

import pytest

from search.common.home import Home
from search.database.store import Store
from search.winner.fetching import FILES, champion_folder, replace_champion
from tests.search.conftest import DOCUMENT, add_job, finish_job, make_spec


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid document, in the folder from which the commands are called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(DOCUMENT)
    return tmp_path / "job.yaml"


@pytest.fixture
def finished(home: Path) -> Path:
    """An installation with a finished job and its champion."""
    found = Home.from_environment()
    found.create()
    opened = Store.open(found.database_url)
    add_job(opened, make_spec())
    finish_job(opened, "tiny-0001")
    opened.close()
    replace_champion(champion_folder(found, "tiny-0001"), {name: name.encode() for name in FILES})
    return home
