"""Every page: real content, drawn charts, no fault that axe can find, photographs of each."""

from typing import Any

import pytest
from playwright.sync_api import Request

from tests import phone
from tests.web import site
from tests.web.visit import Visit


def digest(address: str, name: str) -> str:
    """Return the digest of an uploaded model."""
    page = site.get(f"{address}/models", headers={"accept": "text/html"}).text
    return page.split(f">{name}</a>")[0].rsplit('href="/models/', 1)[1].split('"')[0].replace("%3A", ":")


def test_errors_and_their_filters(visit: Visit, address: str) -> None:
    visit.open("/errors")
    assert visit.page.locator("[data-chart] svg").count() == 7
    assert "median error of" in visit.text()
    visit.look("errors")
    visit.page.select_option("#f-condition", "s1")
    with visit.leaving():
        visit.page.click("button:text('Show')")
    assert "condition=s1" in visit.page.url
    assert visit.page.locator("#by-condition tbody th, #by-condition tbody tr").count() == 2
    with visit.page.expect_download() as download:
        visit.page.click("text=CSV")
    text = download.value.path().read_text()
    assert text.startswith("condition,processor,model,level,rung,n,mape")
    assert {line.split(",")[0] for line in text.splitlines()[1:]} == {"s1"}
    visit.page.select_option("#f-op_type", "Conv")
    with visit.leaving():
        visit.page.click("button:text('Show')")
    assert "operators; mean" in visit.text()
    visit.open("/errors?device=unheard-of")
    assert "Nothing matches" in visit.text()
    with visit.leaving():
        visit.page.click("main >> text=Clear the filters")
    assert visit.page.url == f"{address}/errors"


def test_plans_offline_and_runtime_and_in_another_context(visit: Visit, address: str) -> None:
    model = digest(address, "squeezenet")
    visit.open(f"/plans?model={model}&device={site.SAMPLE_DEVICE}")
    for part in ("Best plan", "Offline would say", "Ranked plans", "mace · cpu:0"):
        assert part in visit.text()
    with visit.leaving():
        visit.page.locator("#load").evaluate(
            "slider => { slider.value = slider.max == slider.dataset.now ? slider.min : slider.max;"
            "slider.dispatchEvent(new Event('change', {bubbles: true})) }"
        )
    assert "load=" in visit.page.url
    assert "In that context, runtime" in visit.text()
    assert "runtime, now" in visit.text("#promises .canvas")
    visit.look("plans")
    with visit.leaving():
        visit.page.click("table a:text-is('mace · cpu:1')")
    assert "show=" in visit.page.url
    assert "Timeline of mace · cpu:1" in visit.text()


def test_a_dropped_model_is_planned(visit: Visit) -> None:
    from tests.onnx_models import light

    visit.open("/plans")
    file = {"name": "zfnet.onnx", "mimeType": "application/octet-stream", "buffer": light("zfnet512")}
    with visit.leaving():
        visit.page.set_input_files("#file", file)  # type: ignore[arg-type]
    assert "model=" in visit.page.url
    assert "zfnet" in visit.text("#model option:checked")


def test_predictors(visit: Visit) -> None:
    visit.open("/predictors")
    text = visit.text()
    for part in (
        "In service",
        "serving",
        "calm profile",
        "What it looks at",
        "Versions",
        "Trees",
        "What happened",
    ):
        assert part in text
    visit.look("predictors")


def test_device_and_model(visit: Visit, address: str) -> None:
    visit.open("/devices")
    visit.look("devices")
    with visit.leaving():
        visit.page.click(f"text={site.SAMPLE_DEVICE}")
    for part in ("What it is", "cpu:0", "probe_compute_us", "Newest runs", "By condition"):
        assert part in visit.text()
    visit.look("device")
    visit.open("/models")
    visit.look("models")
    with visit.leaving():
        visit.page.click("text=squeezenet")
    for part in ("Multiply-accumulates", "Predicted now on sample-host", "Measured lately"):
        assert part in visit.text()
    visit.look("model")


def test_the_api_is_described(visit: Visit) -> None:
    visit.open("/docs")
    visit.until("document.documentElement.dataset.api === 'shown'")
    visit.page.wait_for_selector(".opblock >> nth=5")
    visit.look("docs")


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_charts_as_pictures(address: str, ending: str) -> None:
    name = {"svg": "by-condition", "png": "distribution"}[ending]
    answer = site.get(f"{address}/charts/errors/{name}.{ending}?condition=s1&theme=dark")
    assert answer.status_code == 200
    assert answer.content.startswith({"svg": b"<svg", "png": b"\x89PNG"}[ending])
    assert "sandbox" in answer.headers["content-security-policy"]


def test_every_chart_is_good_vega_lite() -> None:
    from app.web.charts import FORMS

    for build in FORMS.values():
        built: Any = build()
        built.to_dict()


def test_keyboard_reaches_the_content(visit: Visit) -> None:
    visit.open("/errors")
    visit.page.keyboard.press("Tab")
    visit.until("document.activeElement.textContent === 'Skip to the content'")
    visit.page.keyboard.press("Enter")
    visit.until("document.activeElement.id === 'main'")


def test_first_load_is_small(visit: Visit) -> None:
    finished: list[Request] = []
    visit.page.on("requestfinished", lambda request: finished.append(request))  # noqa: PLW0108 (Playwright marks it)
    visit.open("/errors")
    # Charts are drawn by the bundle, so it has come, but Playwright may tell of it a moment later.
    visit.until_true(lambda: any("/vega" in request.url for request in finished), "the bundle has come")
    assert 100_000 < sum(request.sizes()["responseBodySize"] for request in finished) < 1_500_000


def test_newcomer_has_an_empty_page(visit: Visit, address: str) -> None:
    (batch,) = phone.session(1, 0, device_id="fresh")
    site.post(f"{address}/v1/measurements", json=batch).raise_for_status()
    visit.open("/devices/fresh")
    assert "No scored runs" in visit.text()


def test_a_chart_that_is_slow_to_draw_does_not_undo_a_later_change(visit: Visit) -> None:
    visit.open("/errors")
    visit.page.evaluate(
        """async () => {
            const draw = window.vegaEmbed;
            window.vegaEmbed = async (...given) => {
                window.vegaEmbed = draw;
                await new Promise((go) => setTimeout(go, 500));
                return draw(...given);
            };
            const place = document.querySelector("[data-chart]");
            const script = [...document.scripts].find((found) => found.src.endsWith("/charts.js"));
            const { update } = await import(script.src);
            const spec = document.getElementById(`${place.dataset.chart}-spec`).textContent;
            window.slow = update(place.dataset.chart, JSON.parse(spec));
        }"""
    )
    visit.page.emulate_media(color_scheme="dark")
    visit.page.evaluate("window.slow")
    drawn = visit.page.evaluate("[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.drawn)")
    assert set(drawn) == {"dark"}
