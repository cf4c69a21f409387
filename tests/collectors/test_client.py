import json
from collections.abc import Callable

import httpx
import pytest

from collectors.client import Client, RefusedError, UnreachableError


def client(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client("http://service", key="k", transport=httpx.MockTransport(answer))


def echo(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content) if request.content[:1] == b"{" else None
    url = request.url
    return httpx.Response(200, json={"method": request.method, "url": str(url), "body": body})


@pytest.mark.parametrize(
    ("call", "method", "url"),
    [
        (lambda c: c.model("sha256:ab"), "GET", "/v1/models/sha256:ab"),
        (lambda c: c.predictions({"a": 1}), "POST", "/v1/predictions"),
        (lambda c: c.plan({"a": 1}), "POST", "/v1/plan"),
        (lambda c: c.post_outcomes("p1", [{"a": 1}]), "POST", "/v1/plans/p1/outcomes"),
        (lambda c: c.devices(), "GET", "/v1/devices"),
        (lambda c: c.runs(condition="s1"), "GET", "/v1/runs?condition=s1"),
        (lambda c: c.predictors(), "GET", "/v1/predictors"),
        (lambda c: c.pin_predictor("7"), "POST", "/v1/predictors/7/pin"),
        (lambda c: c.roll_back_predictor("7"), "POST", "/v1/predictors/7/rollback"),
        (lambda c: c.report("errors", group_by="condition"), "GET", "/v1/reports/errors?group_by=condition"),
    ],
)
def test_each_method_speaks_its_endpoint(
    call: Callable[[Client], dict[str, str]], method: str, url: str
) -> None:
    answer = call(client(echo))
    assert (answer["method"], answer["url"]) == (method, f"http://service{url}")


def test_a_problem_is_told_with_its_places() -> None:
    problem = {
        "title": "Invalid request",
        "status": 422,
        "detail": "see errors",
        "errors": [{"pointer": "/models/0", "detail": "unknown"}],
    }
    refusing = client(lambda _: httpx.Response(422, json=problem, headers={"Retry-After": "3"}))
    with pytest.raises(
        RefusedError, match=r"Invalid request \(422\): see errors; /models/0: unknown"
    ) as caught:
        refusing.plan({})
    assert (caught.value.status, caught.value.retry_after_s) == (422, 3.0)


@pytest.mark.parametrize("stated", ["soon", "", "-4"])
def test_a_nonsense_retry_after_does_no_harm(stated: str) -> None:
    refusing = client(lambda _: httpx.Response(503, text="no", headers={"Retry-After": stated}))
    with pytest.raises(RefusedError) as caught:
        refusing.devices()
    assert caught.value.retry_after_s in (None, 0.0)


def test_something_else_at_the_address_is_no_service() -> None:
    other = client(lambda _: httpx.Response(200, text="<html>hello</html>"))
    with pytest.raises(UnreachableError, match="does not answer like a socast service"):
        other.upload(b"{}", encoding=None)
    with pytest.raises(UnreachableError, match="does not answer like a socast service"):
        other.devices()


@pytest.mark.parametrize("server", ["http://127.0.0.1:9", "nonsense", "http://[bad"])
def test_no_service_is_a_clear_error(server: str) -> None:
    with pytest.raises(UnreachableError, match="reached"), Client(server) as unreachable:
        unreachable.devices()
    with Client("http://127.0.0.1:9") as unreachable:
        assert not unreachable.is_ready()
