"""One browser and one service with real data for all tests of the pages, in one worker."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from app.settings import Settings
from tests.web import site
from tests.web.visit import Visit, start

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REQUIRED = "SOCAST_TEST_BROWSER_REQUIRED"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all these tests in one worker: `--dist loadgroup`."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the system's, else Playwright's own; without one the tests skip, or fail where it must be."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if found is None and Path(playwright.chromium.executable_path).exists():
            found = playwright.chromium.executable_path
        if found is None:
            say = pytest.fail if os.environ.get(REQUIRED) else pytest.skip
            say("NO BROWSER: install chromium (`make browser` tries); the pages were NOT tested")
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def filled_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database with real data."""
    url = f"sqlite:///{tmp_path_factory.mktemp('web') / 'socast.db'}"
    site.fill(url)
    return url


@pytest.fixture(scope="session")
def address(filled_url: str) -> Iterator[str]:
    """Where the open service answers."""
    with site.serving(Settings(database=filled_url, open=True, no_learner=True)) as base:
        yield base


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """A fresh profile on the open service: no complaint in its console, no request to elsewhere."""
    started = start(browser, address)
    yield started
    started.page.context.close()
    started.check()
