"""A browser and a service with real data for each worker; the data are made once for all of them."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from app.settings import Settings
from tests.web import site
from tests.web.visit import PATIENCE_MS, Visit, start

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
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS, timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def filled_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of this worker's copy of a database with real data; whoever comes first fills it for all."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    filled = shared / "pages" / "socast.db"
    filled.parent.mkdir(exist_ok=True)
    with (shared / "pages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not filled.exists():
            partial = filled.with_name("partial.db")
            site.fill(f"sqlite:///{partial}")
            partial.rename(filled)
    copy = tmp_path_factory.mktemp("web") / "socast.db"
    shutil.copy(filled, copy)
    return f"sqlite:///{copy}"


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
