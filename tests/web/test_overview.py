"""The overview: real numbers, alive, and nothing that a browser complains of."""

from tests import phone
from tests.web import site
from tests.web.visit import Visit


def test_numbers_charts_and_tables(visit: Visit) -> None:
    visit.open("/")
    text = visit.text()
    for part in ("Overview", "Offline profile is wrong by", "sample-host", "Predictors serving"):
        assert part in text
    assert "%" in visit.text("[data-live=offline]")
    # News may be drawing one of them anew.
    visit.until("document.querySelectorAll('[data-chart] svg').length === 2")
    assert visit.page.locator("#by-condition tbody tr").count() >= 4
    visit.look("overview")


def test_it_is_live(visit: Visit, address: str) -> None:
    visit.open("/")
    visit.page.wait_for_selector(".live.on")
    before = visit.text("[data-live=devices]")
    for batch in phone.session(1, 0, device_id="newcomer"):
        site.post(f"{address}/v1/measurements", json=batch).raise_for_status()
    visit.until("before => document.querySelector('[data-live=devices]').textContent !== before", before)
    assert int(visit.text("[data-live=devices]")) == int(before) + 1
