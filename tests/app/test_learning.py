"""From batches to predictions and reports: the slow and the fast clock over real stored runs."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from app.schemas.predictions import PredictionOut
from app.services.learn import Learning
from app.store import states
from app.store.engine import Database
from predictors.device_state import DeviceState
from predictors.export.files import from_files
from predictors.export.onnx_predictor import OnnxPredictor
from tests import phone
from tests.snapshots import Snapshots


def send(client: TestClient, batches: Sequence[dict[str, Any]]) -> None:
    for batch in batches:
        assert client.post("/v1/measurements", json=batch).status_code == 200


def learn_all(database: Database) -> None:
    learning = Learning(database)
    while learning.step():
        pass


@pytest.fixture
def learned(client: TestClient, database: Database, snapshots: Snapshots) -> TestClient:
    """The application after a phone's session was learned from."""

    def fill() -> None:
        send(client, phone.session(calm_runs=90, loaded_runs=60))
        learn_all(database)

    snapshots.fill(database, "learned_phone", fill)
    return client


def predict(client: TestClient, **fields: Any) -> dict[str, Any]:
    request = {
        "device_id": phone.DEVICE_ID,
        "processor": phone.PROCESSOR,
        "model": {"digest": phone.digest("middle")},
        **fields,
    }
    response = client.post("/v1/predictions", json=request)
    assert response.status_code == 200, response.text
    return PredictionOut.model_validate(response.json()).model_dump()


def test_the_report_shows_that_the_frozen_profile_drifts(learned: TestClient) -> None:
    report = learned.get("/v1/reports/errors", params={"group_by": "condition"}).json()
    assert report["pending_runs"] == 0
    runs = {
        group["group"]["condition"]: group["rungs"] for group in report["groups"] if group["level"] == "run"
    }
    assert {rung["n"] for rungs in runs.values() for rung in rungs.values()} == {60}
    assert runs["s0"]["calm"]["mape"] < 0.15
    assert runs["s1"]["calm"]["mape"] > 0.55  # a third of what is measured
    assert runs["s1"]["runtime"]["mape"] < 0.5 * runs["s1"]["calm"]["mape"]


def test_a_loaded_device_is_predicted_slower_than_its_offline_profile(learned: TestClient) -> None:
    answer = predict(learned)
    assert answer["runtime"]["total_us"]["mean"] > 1.5 * answer["offline"]["total_us"]["mean"]
    for side in ("offline", "runtime"):
        assert answer[side]["coverage"] == {"learned": 1.0, "fallback": [], "too_thin": False, "reasons": []}
    assert [item["op_type"] for item in answer["runtime"]["operators"]] == ["Conv"] * 3
    for side in ("offline", "runtime"):
        interval = answer[side]["interval_us"]
        assert interval["low"] <= answer[side]["total_us"]["p50"] <= interval["high"]


def test_intervals_of_the_level_asked_for_lie_inside_each_other(learned: TestClient) -> None:
    answers = {level: predict(learned, level=level) for level in (0.5, 0.9, 0.99)}
    assert predict(learned)["runtime"]["interval_us"]["level"] == 0.9
    for side in ("offline", "runtime"):
        for parts in zip(
            *([answer[side], *answer[side]["operators"]] for answer in answers.values()), strict=True
        ):
            intervals = [part["interval_us"] for part in parts]
            assert [interval["level"] for interval in intervals] == [0.5, 0.9, 0.99]
            narrow, middle, wide = ((interval["low"], interval["high"]) for interval in intervals)
            assert wide[0] <= middle[0] <= narrow[0] <= narrow[1] <= middle[1] <= wide[1]
        total = answers[0.9][side]["total_us"]
        assert total["p50"] <= total["p90"] <= answers[0.9][side]["interval_us"]["high"] <= total["p99"]
        for operator in answers[0.9][side]["operators"]:
            assert operator["interval_us"]["low"] <= operator["p50_us"] <= operator["interval_us"]["high"]


def test_new_runs_change_the_next_prediction_before_anything_is_refitted(learned: TestClient) -> None:
    context = {"probe_compute_us": 300.0, "cpu_utilization": 0.9}
    loaded = predict(learned, context=context)
    calm_again = phone.session(calm_runs=0, loaded_runs=12, seed=1)[:12]
    send(learned, calm_again)
    recovered = predict(learned, context={"probe_compute_us": 100.0, "cpu_utilization": 0.1})
    assert recovered["runtime"]["predictor"] == loaded["runtime"]["predictor"]
    assert recovered["runtime"]["total_us"]["p50"] < 0.7 * loaded["runtime"]["total_us"]["p50"]


def test_a_restarted_learner_goes_on_where_it_was(client: TestClient, database: Database) -> None:
    batches = phone.session(calm_runs=90, loaded_runs=60)
    send(client, batches[:120])
    learn_all(database)
    before = client.get("/v1/predictors").json()["items"]
    send(client, batches)
    learn_all(database)
    report = client.get("/v1/reports/errors", params={"group_by": "predictor"}).json()
    scored = {
        group["group"]["predictor"]: group["rungs"]["runtime"]["n"]
        for group in report["groups"]
        if group["level"] == "run"
    }
    assert sum(scored.values()) == 120
    after = {item["id"]: item["digest"] for item in client.get("/v1/predictors").json()["items"]}
    assert {item["id"]: item["digest"] for item in before}.items() <= after.items()
    assert scored.keys() <= set(after.values()), "scored a version that was never stored"


def test_a_restart_without_news_makes_no_version(learned: TestClient, database: Database) -> None:
    before = learned.get("/v1/predictors").json()["items"]
    learn_all(database)
    assert learned.get("/v1/predictors").json()["items"] == before


def test_a_new_driver_is_a_change_point_from_batch_to_version(client: TestClient, database: Database) -> None:
    batches = phone.session(calm_runs=90, loaded_runs=60)
    for number, batch in enumerate(batches):
        driver = "512.490" if number < 150 else "512.500"
        batch["device"] |= {"os": "Android 11", "drivers": {"adreno": driver}} if number in {0, 150} else {}
    send(client, batches[:150])
    learn_all(database)
    send(client, batches[150:151])
    with database.read() as connection:
        state = states.get(connection, phone.DEVICE_ID, phone.PROCESSOR)
    assert DeviceState.from_json(state or "").runs == 1
    send(client, batches[151:])
    learn_all(database)
    reasons = [item["reason"] for item in client.get("/v1/predictors").json()["items"]]
    assert "adreno 512.490 → 512.500" in reasons


CONV = {
    "op_type": "Conv",
    "inputs": [[1, 64, 56, 56], [64, 64, 3, 3]],
    "outputs": [[1, 64, 56, 56]],
    "attributes": {"strides": [1, 1], "pads": [1, 1, 1, 1]},
}


def assert_a_guess(answer: dict[str, Any]) -> None:
    """The physical prior answers: finite, honestly wide, and it says so."""
    for side in ("offline", "runtime"):
        coverage, interval = answer[side]["coverage"], answer[side]["interval_us"]
        assert (coverage["learned"], coverage["too_thin"]) == (0.0, True)
        assert "physical prior" in coverage["reasons"][0]
        assert answer[side]["predictor"]["borrowed_from"] is None
        assert 10.0 < interval["high"] / interval["low"] < 100.0
        assert interval["low"] < answer[side]["total_us"]["p50"] < interval["high"]
        assert answer[side]["total_us"]["p99"] < 20.0 * answer[side]["total_us"]["p50"]


def test_before_anything_was_learned_the_physical_prior_answers(client: TestClient) -> None:
    (first,) = phone.session(calm_runs=1, loaded_runs=0)
    send(client, [first])
    assert_a_guess(predict(client, model={"digest": first["runs"][0]["model"]["digest"]}))


@pytest.mark.parametrize("processor", ["cpu-big-4", "gpu", "npu:1"])
def test_an_empty_service_answers_for_any_soc(client: TestClient, processor: str) -> None:
    request = {"soc": "SoC 9", "processor": processor, "operators": [CONV] * 4}
    answer = client.post("/v1/predictions", json=request)
    assert answer.status_code == 200, answer.text
    assert_a_guess(answer.json())
    slower = request | {"operators": [CONV] * 40}
    longer = client.post("/v1/predictions", json=slower).json()["offline"]["total_us"]["p50"]
    assert longer == pytest.approx(10.0 * answer.json()["offline"]["total_us"]["p50"], rel=0.05)


def test_an_unknown_soc_and_an_unknown_processor_borrow_from_the_nearest_known(learned: TestClient) -> None:
    own = predict(learned)
    for place in ({"soc": "SoC 9", "processor": "cpu-big-4"}, {"soc": "SoC 1", "processor": "cpu:7"}):
        side = predict(learned, device_id=None, **place)["offline"]
        assert side["predictor"]["borrowed_from"] == "SoC 1/cpu:0/onnxruntime"
        assert side["coverage"]["too_thin"]
        assert side["coverage"]["learned"] == 0.0
        assert side["total_us"]["p50"] == pytest.approx(own["offline"]["total_us"]["p50"])
        assert side["interval_us"]["low"] < 0.5 * own["offline"]["interval_us"]["low"]
    strange = {"soc": "SoC 1", "processor": "cqu:0", "operators": [CONV]}
    refused = learned.post("/v1/predictions", json=strange)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/processor")


def test_a_misspelt_processor_of_an_unknown_soc_is_not_found(client: TestClient) -> None:
    request = {"soc": "SoC 9", "processor": "cqu", "operators": [CONV]}
    response = client.post("/v1/predictions", json=request)
    assert response.status_code == 404
    assert "cpu, gpu, npu" in response.json()["detail"]


def test_a_new_processor_answers_from_the_first_request_and_says_what_it_borrowed(
    learned: TestClient,
) -> None:
    send(learned, phone.session(calm_runs=1, loaded_runs=0, processor="cpu:7", device_id="phone-2"))
    answer = predict(learned, device_id="phone-2", processor="cpu:7")
    for side in ("offline", "runtime"):
        coverage = answer[side]["coverage"]
        assert (coverage["learned"], coverage["fallback"], coverage["too_thin"]) == (0.0, ["Conv"], True)
        assert "answers instead" in coverage["reasons"][0]
        assert answer[side]["predictor"]["borrowed_from"] == "SoC 1/cpu:0/onnxruntime"
    own = predict(learned)
    assert own["runtime"]["predictor"]["borrowed_from"] is None
    for figure in ("mean", "p50"):
        assert answer["offline"]["total_us"][figure] == own["offline"]["total_us"][figure]
    assert answer["offline"]["interval_us"]["low"] < 0.5 * own["offline"]["interval_us"]["low"]
    assert answer["offline"]["interval_us"]["high"] > 2.0 * own["offline"]["interval_us"]["high"]


def test_the_very_first_run_of_a_service_counts(client: TestClient, database: Database) -> None:
    (first,) = phone.session(calm_runs=1, loaded_runs=0)
    send(client, [first])
    learn_all(database)
    answer = predict(client, model={"digest": first["runs"][0]["model"]["digest"]})
    assert answer["runtime"]["total_us"]["p50"] == pytest.approx(first["runs"][0]["total_us"], rel=0.3)
    assert answer["runtime"]["coverage"]["too_thin"]
    assert answer["runtime"]["predictor"]["borrowed_from"] is None


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"device_id": "nobody"}, 404, "nobody"),
        ({"processor": "npu"}, 422, "cpu:0"),
        ({"soc": "SoC 1"}, 422, "exactly one"),
        ({"operators": []}, 422, "exactly one"),
        ({"context": {"temperature_c": "hot"}}, 422, "/context"),
        ({"level": 0.95}, 422, "0.5, 0.9, 0.99"),
        ({"processor": 7}, 422, "/processor"),
        ({"model": None, "operators": [{"op_type": "Conv"}, {"inputs": 3}]}, 422, "/operators/1"),
        ({"colour": "red"}, 422, "unknown field `colour`"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    client: TestClient, change: dict[str, Any], status: int, words: str
) -> None:
    send(client, phone.session(calm_runs=1, loaded_runs=0))
    request = {
        "device_id": phone.DEVICE_ID,
        "processor": phone.PROCESSOR,
        "model": {"digest": phone.digest("small")},
    }
    response = client.post("/v1/predictions", json=request | change)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.text


def test_a_model_that_was_neither_uploaded_nor_run_is_not_found(learned: TestClient) -> None:
    request = {"device_id": phone.DEVICE_ID, "processor": phone.PROCESSOR}
    response = learned.post("/v1/predictions", json=request | {"model": {"digest": "sha256:00"}})
    assert response.status_code == 404
    assert "/v1/models" in response.json()["detail"]


def test_versions_can_be_pinned_and_taken_back(learned: TestClient) -> None:
    newest, *older = learned.get("/v1/predictors").json()["items"]
    assert newest["serving"]
    assert (newest["too_thin"], newest["reasons"]) == (False, [])
    assert newest["profiler_price"] is None  # the phone profiles every run
    assert newest["metrics"]["trees"] > newest["metrics"]["appended_trees"] == 0
    first = older[-1]
    assert first["metrics"]["trained_runs"] == 1
    assert (first["too_thin"], len(first["reasons"])) == (True, 2)
    pinned = learned.post(f"/v1/predictors/{older[-1]['id']}/pin").json()
    assert (pinned["serving"], pinned["pinned"]) == (True, True)
    instead = learned.post(f"/v1/predictors/{older[-1]['id']}/rollback").json()
    assert instead["id"] == newest["id"]
    assert learned.post("/v1/predictors/999/pin").status_code == 404


def test_a_version_leaves_as_onnx_files_that_predict(learned: TestClient) -> None:
    newest = learned.get("/v1/predictors").json()["items"][0]
    answer = learned.get(f"/v1/predictors/{newest['id']}/onnx")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        exported = from_files({name: archive.read(name) for name in archive.namelist()})
    assert exported.predictor == newest["digest"]
    assert OnnxPredictor(exported).operator_latencies_us([]).shape == (0,)
    assert learned.get("/v1/predictors/999/onnx").status_code == 404


def test_a_device_that_cannot_be_telling_the_truth_is_set_aside_visibly_until_it_does(
    client: TestClient, database: Database
) -> None:
    def set_aside() -> set[str]:
        items = client.get("/v1/devices").json()["items"]
        return {item["device_id"] for item in items if item["quarantined"]}

    for device_id in ("phone-1", "phone-2", "phone-3", "liar"):
        send(client, phone.session(calm_runs=60, loaded_runs=0, device_id=device_id))
    for device_id, factor in (("phone-1", 1.0), ("phone-2", 1.0), ("phone-3", 1.0), ("liar", 10.0)):
        later = phone.session(calm_runs=0, loaded_runs=15, now=True, device_id=device_id, factor=factor)
        send(client, later)
    learn_all(database)
    assert set_aside() == {"liar"}
    repaired = phone.session(calm_runs=0, loaded_runs=30, now=True, device_id="liar")
    send(client, repaired)
    learn_all(database)
    assert set_aside() == set()
    events = client.get("/v1/reports/drift", params={"kind": "release"}).json()["items"]
    assert [item["device"] for item in events] == ["liar"]


def test_reports_leave_as_csv_and_parquet(learned: TestClient) -> None:
    parameters = {"group_by": "condition,model"}
    csv = learned.get("/v1/reports/errors", params={**parameters, "format": "csv"})
    table = pd.read_csv(io.StringIO(csv.text))
    other = learned.get("/v1/reports/errors", params={**parameters, "format": "parquet"})
    pd.testing.assert_frame_equal(table, pd.read_parquet(io.BytesIO(other.content)), check_dtype=False)
    assert set(table["rung"]) == {"calm", "per_condition", "context_frozen", "state_only", "runtime"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"group_by": "colour"},
        {"since": "2026-11-22T00:00:00Z", "until": "2026-11-21T00:00:00Z"},
        {"since": "yesterday"},
        {"since": "2026-11-21T00:00:00"},
        {"format": "docx"},
    ],
)
def test_wrong_report_parameters_are_refused(client: TestClient, parameters: dict[str, str]) -> None:
    response = client.get("/v1/reports/errors", params=parameters)
    assert response.status_code == 422
    assert response.json()["title"] == "Invalid request"
