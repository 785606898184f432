from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.service.api.served import AccessLog, Served, fresh, listening, serving
from tests.search.service.api.stories import tell
from tests.search.service.api.world import World, settings, settle


@pytest.fixture(scope="session")
def log() -> Iterator[AccessLog]:
    with listening() as heard:
        yield heard


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, log: AccessLog) -> Iterator[World]:
    """A service that needs tokens, with people and jobs, which no test may change."""
    with serving(fresh(tmp_path_factory.mktemp("network")), settings()) as served:
        yield World(served, settle(served), log)


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on loopback with one finished job, which no test may change."""
    with serving(fresh(tmp_path_factory.mktemp("told"))) as service:
        tell(service)
        yield service


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service on loopback, all of a test's own."""
    with serving(fresh(tmp_path / "home")) as service:
        yield service
