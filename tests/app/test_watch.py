"""`/v1/plan/watch`: who watches hears of a new best plan when it is worth it."""

import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi.testclient import TestClient

from app.services.kernels import KernelCache
from app.services.plan import ModelToPlan, PlanQuestion, PlanService
from app.services.plan_feedback import PlanFeedback
from app.services.shelf import Shelf
from app.services.watch import PlanWatch
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.onnx_models import light
from tests.snapshots import Snapshots


@pytest.fixture
def digest(client: TestClient, database: Database, snapshots: Snapshots) -> str:
    """An uploaded model, on a phone that was learned from and stands in a calm moment."""

    def fill() -> None:
        send(client, phone.session(calm_runs=90, loaded_runs=60))
        learn_all(database)

    snapshots.fill(database, "learned_phone", fill)
    send(client, phone.session(calm_runs=8, loaded_runs=0, seed=5, now=True))
    return str(client.post("/v1/models", content=light("squeezenet")).json()["digest"])


def test_a_watcher_hears_of_load_but_not_of_noise(
    client: TestClient, database: Database, digest: str
) -> None:
    shelf = Shelf()
    question = PlanQuestion([ModelToPlan(digest)], device_id=phone.DEVICE_ID)
    watch = PlanWatch(
        database,
        shelf,
        PlanService(database, shelf, KernelCache(), PlanFeedback(database)),
        question,
        threshold=0.25,
    )
    first = watch.poll()
    assert first is not None
    assert watch.poll() is None  # nothing moved
    send(client, phone.session(calm_runs=2, loaded_runs=0, seed=6, now=True))
    assert watch.poll() is None  # moved, but not by much
    send(client, phone.session(calm_runs=0, loaded_runs=6, seed=7, now=True)[6:])
    told = watch.poll()
    assert told is not None
    assert told.plans[0].latency_us.mean > 1.25 * first.plans[0].latency_us.mean


def test_the_first_event_is_the_best_plan(client: TestClient, digest: str) -> None:
    """The test client runs a request to its end, so the stream is ended by draining the service."""
    parameters = {"model": digest, "device_id": phone.DEVICE_ID}
    best = client.get("/v1/plan", params=parameters).json()["plans"][0]
    client.app.state.draining.set()  # type: ignore[attr-defined]
    with client.stream("GET", "/v1/plan/watch", params=parameters) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = list(_events(response))
    (event, data), *_ = events
    assert event == "plan"
    assert json.loads(data)["plan_id"] == best["plan_id"]


def test_an_unknown_model_is_refused_before_the_stream_starts(client: TestClient) -> None:
    send(client, phone.session(calm_runs=1, loaded_runs=0))
    answer = client.get("/v1/plan/watch", params={"model": "sha256:00", "device_id": phone.DEVICE_ID})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def _events(response: httpx.Response) -> Iterator[tuple[str, str]]:
    event = ""
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, value
