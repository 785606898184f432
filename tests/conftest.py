import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from search.common.garbage import collect_seldom
from tests.servers import ObjectStore, Postgres, free_port

__all__ = ["free_port"]

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Ray's own is 15, with which a trial hardly goes on beside other tests on all processors.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it
# Beside other tests, threads that wait for each other busily leave each other no processor.
os.environ["OMP_WAIT_POLICY"] = "passive"

# The same examples every time, and no test of time on a machine that is shared.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")


collect_seldom()  # a sixteenth of the tests' time went into looking through what imports had made


@pytest.fixture(autouse=True)
def all_numbers() -> Iterator[None]:
    """Undo what `trainables.device.configure` does to this process: hypothesis refuses it."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


def choose_home(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be the home, whatever else the environment says."""
    for name in list(os.environ):
        if name.startswith(("GATETUNE_", "MLFLOW_TRACKING")) or name == "RAY_ADDRESS":
            patch.delenv(name)
    patch.setenv("GATETUNE_HOME", str(folder))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh installation of its own."""
    folder = tmp_path / "home"
    choose_home(monkeypatch, folder)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that runs for the tests alone."""
    server = Postgres(durable=False)
    server.start()
    try:
        yield server.url
    finally:
        server.remove()


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[ObjectStore]:
    server = ObjectStore()
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def object_store(object_store_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A server of objects, and credentials for it in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-tests")
    return object_store_server
