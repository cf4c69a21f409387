"""What must not break the pages: a clear message, nothing executed, nothing half-done."""

from http.client import HTTPConnection

import pytest

from tests.web import site
from tests.web.visit import Visit, axe

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/errors?colour=red", 422, "There is no filter"),
        ("/errors?since=2026-11-22T00:00&until=2026-11-21T00:00", 422, "must be before"),
        ("/errors?since=yesterday", 422, "is no time"),
        ("/plans?objective=best&model=x&device=y", 422, "There is no objective"),
        ("/plans?model=sha256:00&device=sample-host", 404, "No model sha256:00"),
        ("/devices/nobody", 404, "has sent anything"),
        ("/models/sha256:00", 404, "No model"),
        ("/predictors?soc=a&processor=b&framework=c", 404, "There is no predictor"),
        ("/charts/errors/nothing.svg", 404, "There is no chart"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_a_clear_page(address: str, path: str, status: int, says: str) -> None:
    answer = site.get(address + path, headers=HTML)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert says in answer.text.replace("&#39;", "'")
    assert "Traceback" not in answer.text


def test_errors_of_the_api_stay_problems(address: str) -> None:
    answer = site.get(f"{address}/v1/models/sha256:00", headers=HTML)
    assert answer.headers["content-type"] == "application/problem+json"


def test_html_in_a_name_stays_text(visit: Visit) -> None:
    visit.open("/devices")
    with visit.leaving():
        visit.page.click("text=<script>alert(1)")
    assert visit.text("h1") == site.HOSTILE_DEVICE
    assert "introduced itself but sent no run" in visit.text()
    assert visit.page.locator("main script, main img").count() == 0
    visit.open("/errors?device=" + "%3C/script%3E%3Cscript%3Ealert(3)%3C/script%3E")
    assert "</script><script>alert(3)</script>" in visit.text()


def test_html_in_a_chart_stays_text(visit: Visit, address: str) -> None:
    run = {
        "run_id": "11111111-1111-4111-8111-111111111111",
        "started_at": "2026-11-21T07:00:00Z",
        "processor": "</script><script>alert(4)</script>",
        "framework": "x",
        "model": {"name": "<img src=x onerror=alert(5)>", "digest": "sha256:" + "ab" * 32},
        "condition": "<!--<script>",
        "total_us": 5.0,
    }
    batch = {"batch_id": "hostile", "device": {"device_id": "<script>alert(6)</script>"}, "runs": [run]}
    site.post(f"{address}/v1/measurements", json=batch).raise_for_status()
    visit.open("/models/sha256:" + "ab" * 32)
    assert visit.text("h1") == run["model"]["name"]  # type: ignore[index]
    assert "<script>" in visit.text("#latencies .canvas")
    assert "alert(4)" in (visit.page.locator("#latencies table").text_content() or "")
    assert axe(visit.page, None) == []


def test_a_picture_is_no_model(visit: Visit) -> None:
    visit.refusals |= {400, 422}
    visit.open("/plans")
    png = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64
    visit.page.set_input_files("#file", {"name": "cat.onnx", "mimeType": "x/y", "buffer": png})  # type: ignore[arg-type]
    visit.page.wait_for_selector("#upload-fault:not([hidden])")
    assert visit.text("#upload-fault").startswith("cat.onnx was not taken: ")
    assert "/plans" in visit.page.url


def test_three_hundred_megabytes_are_refused_before_they_are_sent(visit: Visit, address: str) -> None:
    visit.open("/plans")
    visit.page.evaluate(
        """() => {
            const file = new File([new Blob(Array(300).fill(new Uint8Array(1000000)))], "huge.onnx");
            const moved = new DataTransfer();
            moved.items.add(file);
            const drop = document.getElementById("drop");
            drop.dispatchEvent(new DragEvent("drop", {dataTransfer: moved, bubbles: true, cancelable: true}));
        }"""
    )
    visit.page.wait_for_selector("#upload-fault:not([hidden])")
    assert "300 MB; at most" in visit.text("#upload-fault")
    # Chromium asks for the icon when it likes, so only what goes to the API counts.
    assert [url for url in visit.requests if url.startswith(f"{address}/v1/")] == []
    announced = HTTPConnection(address.removeprefix("http://"), timeout=site.PATIENCE_S)
    announced.putrequest("POST", "/v1/models")
    announced.putheader("Content-Length", "300000000")
    announced.endheaders()
    assert announced.getresponse().status == 413
    announced.close()


def test_another_site_cannot_change_anything(address: str) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = site.post(f"{address}/v1/predictors/1/pin", headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.json()["detail"]
    answer = site.get(address, headers=HTML)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
