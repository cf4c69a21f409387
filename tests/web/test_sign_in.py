"""With keys: signing in and out, what each role may do, and two admins deciding at once."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from app.services import keys
from app.services.keys import Role
from app.settings import Settings
from app.store.engine import Database
from tests.web import site
from tests.web.visit import Visit, start


@pytest.fixture(scope="module")
def guarded(filled_url: str) -> Iterator[str]:
    """Where the service with keys answers."""
    with site.serving(Settings(database=filled_url, no_learner=True)) as base:
        yield base


@pytest.fixture(scope="module")
def secrets(filled_url: str) -> dict[Role, str]:
    """A key of each role."""
    database = Database(filled_url)
    made = {role: keys.create(database, role).text for role in Role}
    database.dispose()
    return made


PINNED = "[aria-label=Versions] tr:has(.badge:text('pinned')) td"


def sign_in(visit: Visit, key: str) -> None:
    with visit.leaving():
        visit.page.fill("#key", key)
        visit.page.press("#key", "Enter")


@pytest.fixture
def guest(browser: Browser, guarded: str) -> Iterator[Visit]:
    """A fresh profile on the service with keys."""
    visit = start(browser, guarded)
    yield visit
    visit.page.context.close()


def test_an_analyst_looks_and_leaves(guest: Visit, secrets: dict[Role, str]) -> None:
    guest.refusals |= {401, 403}
    guest.open("/errors?condition=s1")
    assert "/sign-in?next=" in guest.page.url
    guest.look("sign-in")
    sign_in(guest, "wrong")
    assert "no key of this service" in guest.text("#fault")
    sign_in(guest, secrets[Role.AGENT])
    assert "role analyst" in guest.text("#fault")
    sign_in(guest, secrets[Role.ANALYST])
    assert guest.page.url.endswith("/errors?condition=s1")
    (cookie,) = guest.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    guest.open("/predictors")
    assert guest.page.locator("button:text('Pin')").count() == 0
    with guest.page.expect_download():
        guest.open("/errors").page.click("text=Parquet")
    with guest.leaving():
        guest.page.click("text=Sign out")
    assert guest.page.context.cookies() == []
    guest.page.goto(guest.base + "/")
    assert "/sign-in" in guest.page.url
    guest.check()


def test_an_analyst_may_not_pin(guarded: str, secrets: dict[Role, str]) -> None:
    cookies = {"socast_session": secrets[Role.ANALYST]}
    answer = site.post(f"{guarded}/predictors/1/pin", data={"revision": "0"}, cookies=cookies)
    assert answer.status_code == 403


def test_the_second_of_two_admins_is_told(browser: Browser, guarded: str, secrets: dict[Role, str]) -> None:
    first, second = start(browser, guarded), start(browser, guarded)
    for visit in (first, second):
        visit.open("/sign-in?next=/predictors")
        sign_in(visit, secrets[Role.ADMIN])
        visit.page.wait_for_selector("button:text('Pin')")
    first.page.locator("button:text-is('Pin')").nth(1).click()
    first.page.wait_for_selector("text=is pinned and serves")
    pinned = first.text(PINNED)
    second.page.locator("button:text-is('Pin')").nth(2).click()
    second.page.wait_for_selector("[role=alert]")
    assert "Somebody else changed" in second.text("[role=alert]")
    second.open("/predictors")
    assert second.text(PINNED) == pinned
    second.page.click(f"button[aria-label='Roll back version {pinned}']")
    second.page.wait_for_selector("text=is withdrawn")
    for visit in (first, second):
        visit.page.context.close()


def test_no_way_out_through_the_sign_in(guarded: str, secrets: dict[Role, str]) -> None:
    for target in ("https://evil.example", "//evil.example", "/\\evil.example"):
        form = {"key": secrets[Role.ANALYST], "next": target}
        answer = site.post(f"{guarded}/sign-in", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
