"""A visit of one page by a real browser, which notices everything that must not happen."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
WIDE, NARROW = 1280, 390
PATIENCE_MS = 120_000
"""Pages come in well under a second; a busy machine may need very much longer, and that is no fault."""

_DRAWN = (
    "document.readyState === 'complete' && (document.documentElement.dataset.charts === 'drawn'"
    " || !document.querySelector('[data-chart]'))"
)
_DRAWN_AS = "as => [...document.querySelectorAll('[data-chart]')].every(chart => chart.dataset.drawn === as)"
_SEEN_BY_THEME = ["color-contrast"]


@dataclass
class Visit:
    """A page, what it wrote to the console and what it asked of whom.

    `refusals` are statuses that the test provokes; the browser notes them in the console when it likes.
    """

    page: Page
    base: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    refusals: set[int] = field(default_factory=set)

    def open(self, path: str) -> "Visit":
        """Go to a page of the service and wait until its charts are drawn."""
        self.page.goto(self.base + path)
        self.wait_for_charts()
        return self

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Expect the block to lead to another page, and wait until that one's charts are drawn.

        The page that is left looks finished all the time, so waiting for charts alone could end too early.
        """
        with self.page.expect_navigation():
            yield
        self.wait_for_charts()

    def wait_for_charts(self) -> None:
        """Wait until every chart of the page is drawn."""
        self.until(_DRAWN)

    def until(self, expression: str, argument: object = None) -> None:
        """Wait until an expression is true in the page; Playwright's own waiting needs `eval`."""
        self.until_true(lambda: bool(self.page.evaluate(expression, argument)), expression)

    def until_true(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds here, while the browser's events come in."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, f"never came true: {what}"
            self.page.wait_for_timeout(20)

    def text(self, selector: str = "main") -> str:
        """Return what a person reads there."""
        return self.page.locator(selector).first.inner_text()

    def check(self) -> None:
        """Fail for any message of the console and any request that left for elsewhere."""
        expected = tuple(f"status of {status} " for status in self.refusals)
        assert [line for line in self.console if not any(part in line for part in expected)] == []
        inside = (self.base + "/", "data:", "blob:" + self.base)
        assert [url for url in self.requests if not url.startswith(inside)] == []

    def look(self, name: str) -> None:
        """Photograph the page wide and narrow; axe must find nothing, light and dark, at either width."""
        page = self.page
        for width, scheme, rules in (
            (WIDE, "light", None),
            (WIDE, "dark", _SEEN_BY_THEME),
            (NARROW, "light", _SEEN_BY_THEME),
            (NARROW, "dark", None),
        ):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            self.until(_DRAWN_AS, scheme)
            violations = axe(page, rules)
            assert violations == [], f"{name} at {width} px, {scheme}: {violations}"
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, f"{name} is {over} px too wide for {width} px"
            if rules is None:
                SCREENSHOTS.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png", full_page=True)
        page.set_viewport_size({"width": WIDE, "height": 900})
        page.emulate_media(color_scheme="light")


def start(browser: Browser, base: str) -> Visit:
    """Return a visit in a fresh profile."""
    page = browser.new_context(viewport={"width": WIDE, "height": 900}, base_url=base).new_page()
    page.set_default_timeout(PATIENCE_MS)
    visit = Visit(page, base)

    def note(message: ConsoleMessage) -> None:
        visit.console.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        visit.requests.append(request.url)

    page.on("console", note)
    page.on("pageerror", lambda error: visit.console.append(f"exception: {error}"))
    page.on("request", asked)
    page.on("dialog", lambda dialog: (visit.console.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    return visit


def axe(page: Page, rules: list[str] | None) -> list[dict[str, Any]]:
    """Return what axe-core finds fault with: all its rules, or those named."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    # Swagger UI's own markup is not ours to change.
    found = page.evaluate(
        "options => axe.run({exclude: [['#api']]}, options)", {"resultTypes": ["violations"], **only}
    )
    return [
        {"rule": item["id"], "help": item["help"], "where": [node["html"][:200] for node in item["nodes"]]}
        for item in found["violations"]
    ]
