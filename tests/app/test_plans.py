"""`/v1/plan`: real models on a phone that was learned from, ranked by what is so now."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.planning.strategy import all_strategies
from app.schemas.plans import PlanAnswerOut
from app.settings import Settings
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.onnx_models import light, model, node
from tests.snapshots import Snapshots

OTHER = "cpu:1"


@pytest.fixture
def digest(client: TestClient, database: Database, snapshots: Snapshots) -> str:
    """An uploaded model, on a phone of two processors that were learned from."""

    def fill() -> str:
        for processor in (phone.PROCESSOR, OTHER):
            send(client, phone.session(calm_runs=90, loaded_runs=30, processor=processor))
        learn_all(database)
        return str(client.post("/v1/models", content=light("squeezenet")).json()["digest"])

    return snapshots.fill(database, "two_learned_processors", fill)


@pytest.fixture(scope="module")
def learned_phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    """One application for all refusals: nothing of it changes."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'socast.db'}"
    with TestClient(create_app(Settings(database=url, open=True, no_learner=True))) as client:
        send(client, phone.session(calm_runs=90, loaded_runs=0))
        database = Database(url)
        learn_all(database)
        database.dispose()
        yield client, str(client.post("/v1/models", content=light("squeezenet")).json()["digest"])


def ask(client: TestClient, digest: str, **fields: Any) -> dict[str, Any]:
    response = client.post(
        "/v1/plan", json={"models": [{"digest": digest}], "device_id": phone.DEVICE_ID, **fields}
    )
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]


def test_every_strategy_answers_and_the_best_comes_first(client: TestClient, digest: str) -> None:
    answer = ask(client, digest)
    PlanAnswerOut.model_validate(answer)
    assert {plan["strategy"] for plan in answer["plans"]} | {
        item["strategy"] for item in answer["impossible"]
    } == set(all_strategies())
    kept = [plan for plan in answer["plans"] if not plan["requires_retraining"]]
    means = [plan["latency_us"]["mean"] for plan in kept]
    assert means == sorted(means)
    assert answer["plans"][: len(kept)] == kept
    singles = [plan for plan in answer["plans"] if plan["strategy"] == "mace"]
    assert {stage["processor"] for plan in singles for stage in plan["stages"]} == {phone.PROCESSOR, OTHER}
    assert set(answer["predictors"]) == {phone.PROCESSOR, OTHER}
    for predictor in answer["predictors"].values():
        for coverage in (predictor["coverage"]["offline"], predictor["coverage"]["runtime"]):
            assert coverage["too_thin"]  # the phone never timed pooling
            assert "MaxPool" in coverage["reasons"][0]


def test_the_same_question_has_the_same_answer_and_get_is_the_same_door(
    client: TestClient, digest: str
) -> None:
    parameters = {"model": digest, "device_id": phone.DEVICE_ID}
    first, again = ask(client, digest), ask(client, digest)
    assert first["plans"] == again["plans"]
    assert client.get("/v1/plan", params=parameters).json()["plans"] == first["plans"]
    assert client.get("/plan", params=parameters).json()["plans"] == first["plans"]


def test_a_changed_context_is_in_the_very_next_answer(client: TestClient, digest: str) -> None:
    one = {"strategies": ["mace"], "processors": [OTHER]}
    calm = ask(client, digest, context={"probe_compute_us": 100.0, "cpu_utilization": 0.1}, **one)
    loaded = ask(client, digest, context={"probe_compute_us": 300.0, "cpu_utilization": 0.9}, **one)
    assert loaded["plans"][0]["latency_us"]["mean"] > calm["plans"][0]["latency_us"]["mean"]
    assert loaded["plans"][0]["offline_latency_us"] == pytest.approx(calm["plans"][0]["offline_latency_us"])


def test_a_plan_of_another_device_has_another_name(client: TestClient, digest: str) -> None:
    other = phone.session(calm_runs=1, loaded_runs=0, device_id="phone-2", seed=9)
    send(client, other + phone.session(calm_runs=1, loaded_runs=0, device_id="phone-2", processor=OTHER))
    one, two = (
        {plan["plan_id"] for plan in ask(client, digest, device_id=name)["plans"]}
        for name in (phone.DEVICE_ID, "phone-2")
    )
    assert one
    assert two
    assert one.isdisjoint(two)


def test_one_processor_can_be_asked_for(client: TestClient, digest: str) -> None:
    answer = ask(client, digest, processors=[OTHER], strategies=["mace"])
    (plan,) = answer["plans"]
    assert {stage["processor"] for stage in plan["stages"]} == {OTHER}
    named = [name for stage in plan["stages"] for name in stage["operators"]]
    described = client.get(f"/v1/models/{digest}").json()
    assert set(named) <= {operator["name"] for operator in described["operators"]}


def test_dynamic_axes_are_bound_by_the_request(client: TestClient, digest: str) -> None:
    layers = [node("MatMul", "x w", "h"), node("Relu", "h", "y")]
    data = model(layers, [("x", ["rows", 256])], ["y"], {"w": np.ones((256, 256), np.float32)})
    bound = client.post("/v1/models", content=data, params={"input": "x:8,256"}).json()["digest"]
    few = ask(client, bound, models=[{"digest": bound, "inputs": {"x": [8, 256]}}])
    many = ask(client, bound, models=[{"digest": bound, "inputs": {"x": [8000, 256]}}])
    assert ask(client, bound)["plans"] == few["plans"]
    assert many["plans"][0]["bound_us"] > 10 * few["plans"][0]["bound_us"]
    wrong = {"models": [{"digest": bound, "inputs": {"x": [8, 255]}}], "device_id": phone.DEVICE_ID}
    refused = client.post("/v1/plan", json=wrong)
    assert refused.status_code == 422
    assert "256" in refused.json()["detail"]


def test_what_cannot_be_planned_is_said(client: TestClient, digest: str) -> None:
    support = {name: {"unsupported": ["Conv"]} for name in (phone.PROCESSOR, OTHER)}
    answer = ask(client, digest, support=support)
    assert answer["plans"] == []
    assert all("supports" in item["reason"] for item in answer["impossible"])
    capped = ask(client, digest, memory_cap_bytes=1)
    assert capped["plans"] == []


def test_before_anything_was_learned_plans_rest_on_the_physical_prior_and_say_so(client: TestClient) -> None:
    send(client, phone.session(calm_runs=1, loaded_runs=0))
    digest = client.post("/v1/models", content=light("squeezenet")).json()["digest"]
    of_nobody = {"device_id": None, "soc": "SoC 9", "processors": ["cpu-big-4", "gpu"]}
    for fields, names in (({}, [phone.PROCESSOR]), (of_nobody, ["cpu-big-4", "gpu"])):
        answer = ask(client, digest, **fields)
        PlanAnswerOut.model_validate(answer)
        assert answer["plans"]
        assert answer["unavailable"] == []
        assert list(answer["predictors"]) == names
        for predictor in answer["predictors"].values():
            assert predictor["coverage"]["runtime"]["too_thin"]
            assert "physical prior" in predictor["coverage"]["runtime"]["reasons"][0]
        assert answer["plans"][0]["latency_us"]["p99"] > 3.0 * answer["plans"][0]["latency_us"]["p50"]


def test_processors_of_an_unknown_soc_must_be_named(client: TestClient) -> None:
    digest = client.post("/v1/models", content=light("squeezenet")).json()["digest"]
    response = client.post("/v1/plan", json={"models": [{"digest": digest}], "soc": "SoC 9"})
    assert response.status_code == 404
    assert "name processors" in response.json()["detail"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"models": []}, 422, "models"),
        ({"models": [{"digest": "sha256:00"}]}, 404, "/v1/models"),
        ({"device_id": "nobody"}, 404, "nobody"),
        ({"soc": "SoC 1"}, 422, "exactly one"),
        ({"strategies": ["magic"]}, 422, "magic"),
        ({"granularity": ["atoms"]}, 422, "granularity"),
        ({"processors": ["npu"]}, 422, "npu"),
        ({"max_share": {"npu": 0.5}}, 422, "npu"),
        ({"objective": "luck"}, 422, "objective"),
        ({"budget_ms": -1}, 422, "budget_ms"),
        ({"memory_cap_bytes": "much"}, 422, "memory_cap_bytes"),
        ({"models": [{"digest": "sha256:00", "deadline_us": 1e300}]}, 422, "/models/0/deadline_us"),
        ({"models": [{"digest": "sha256:00", "release_us": 1e300}]}, 422, "/models/0/release_us"),
        ({"models": [{"digest": "sha256:00", "after": [1]}, {"digest": "sha256:00"}]}, 404, "/v1/models"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    learned_phone: tuple[TestClient, str], change: dict[str, Any], status: int, words: str
) -> None:
    client, digest = learned_phone
    request = {"models": [{"digest": digest}], "device_id": phone.DEVICE_ID}
    response = client.post("/v1/plan", json=request | change)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.text
