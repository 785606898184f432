import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from search.database.lease import Lease
from search.database.tables import Job
from search.study.study import JobStudy
from tests.search.conftest import asked, train
from tests.search.service.api.served import Served, fresh, serving
from tests.search.service.api.stories import TOLD, begin, tell
from tests.search.service.api.world import HOSTS
from tests.search.service.api.world import settings as network_settings

RUNNING = "live-0001"

# A machine that runs other tests, too, may need longer than the library's five seconds.
expect.set_options(timeout=30_000)

WIDE, PHONE = (1280, 900), (390, 844)


@dataclass
class Living:
    """A served installation with a finished job, and one that a driver of this process runs."""

    served: Served
    lease: Lease
    study: JobStudy

    @property
    def url(self) -> str:
        return self.served.url

    def progress(self) -> None:
        """Let the running job's trial report an epoch."""
        live = next(iter(self.study.live.values()))
        value = 0.5 + 0.1 * (live.acknowledged + 1)
        metrics = {"val_accuracy": value, "val_loss": 1 - value}
        self.study.report(live.number, live.acknowledged + 1, metrics, "running")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Debian's browser, without a window."""
    found = shutil.which("chromium")
    assert found, "the tests need a browser: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox"],
            # A person's browser keeps the page that Back leads to.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


def opened(
    browser: Browser, size: tuple[int, int] = WIDE, theme: str = "light", **more: object
) -> BrowserContext:
    """Open a window; what a page logs as an error is a failure of the test that sees it."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        **more,  # type: ignore[arg-type]
    )
    context.set_default_timeout(120_000)
    return context


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A wide window, in which no script may fail."""
    context = opened(browser)
    made = context.new_page()
    failures: list[str] = []
    made.on("pageerror", lambda error: failures.append(str(error)))
    yield made
    context.close()
    assert failures == []


def alive(served: Served) -> Living:
    """Give an installation a finished job and a running one."""
    tell(served)
    lease, study = begin(served, RUNNING)
    train(study, 0.5, 0.7, 0.6, 0.65)
    asked(study)
    with served.store.session() as session:
        # Nobody renews it, and a test may take long beside others.
        session.get_one(Job, RUNNING).lease_until = time.time() + 3600
    return Living(served, lease, study)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """An installation that no test may change."""
    with serving(fresh(tmp_path_factory.mktemp("shown"))) as served:
        yield alive(served)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    """An installation of a test's own."""
    with serving(fresh(tmp_path / "home")) as served:
        yield alive(served)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Served]:
    """An installation in which nothing was launched."""
    with serving(fresh(tmp_path / "home")) as served:
        yield served


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on a network, which wants tokens, with Ada's finished job."""
    home = fresh(tmp_path_factory.mktemp("guarded"))
    with serving(home, network_settings(hosts=HOSTS)) as served:
        tell(served)
        yield served


PAGES = {
    "jobs": "/",
    "finished": f"/jobs/{TOLD}",
    "running": f"/jobs/{RUNNING}",
    "launch": "/launch",
    "compare": f"/compare?job={TOLD}&job={RUNNING}",
    "models": "/models",
    "cluster": "/cluster",
    "settings": "/settings",
    "missing": "/nothing",
    "login": "/login",
}
