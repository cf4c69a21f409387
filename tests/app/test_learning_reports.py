"""What befell the predictors and what they know, over HTTP after a phone's session was learned from."""

import io
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from tests import phone
from tests.app.test_learning import send

DRIFT, COVERAGE, MISSES = "/v1/reports/drift", "/v1/reports/coverage", "/v1/reports/misses"


def answer(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_journal_tells_what_befell_the_predictors(reported: TestClient) -> None:
    items = answer(reported, DRIFT)["items"]
    versions = {item["id"]: item for item in reported.get("/v1/predictors").json()["items"]}
    made = [item for item in items if item["kind"] == "version"]
    assert {item["version"] for item in made} == versions.keys()
    assert all(versions[item["version"]]["digest"] == item["predictor"] for item in made)
    assert all(versions[item["version"]]["reason"] == item["trigger"] for item in made)
    times = [datetime.fromisoformat(item["at"]) for item in items]
    assert times == sorted(times, reverse=True)


def test_every_scored_run_was_served_by_one_version(reported: TestClient) -> None:
    made = answer(reported, DRIFT, kind="version")["items"]
    assert sum(item["served_runs"] for item in made) == 121
    assert made[-1]["runs_since"] == 121
    served = [item for item in made if item["served_runs"]]
    assert all(0.0 < item["served_mape"] < 2.0 for item in served)
    assert all(item["served_mape"] is None for item in made if not item["served_runs"])


def test_a_long_journal_comes_page_by_page(reported: TestClient) -> None:
    whole = answer(reported, DRIFT)["items"]
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = answer(reported, DRIFT, limit=2, **cursor)
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == whole
    assert len(whole) > 4


def test_the_journal_by_filter(reported: TestClient) -> None:
    whole = answer(reported, DRIFT)["items"]
    middle = whole[len(whole) // 2]["at"]
    newer = answer(reported, DRIFT, since=middle)["items"]
    older = answer(reported, DRIFT, until=middle)["items"]
    assert newer + older == whole
    assert 0 < len(newer) < len(whole)
    assert answer(reported, DRIFT, device_id=phone.DEVICE_ID)["items"] == whole
    assert answer(reported, DRIFT, soc="SoC 1", processor="cpu:0", framework="onnxruntime")["items"] == whole
    assert answer(reported, DRIFT, device_id="nobody")["items"] == []


def test_pins_and_rollbacks_are_entered(reported: TestClient) -> None:
    number = reported.get("/v1/predictors").json()["items"][-1]["id"]
    reported.post(f"/v1/predictors/{number}/pin")
    reported.post(f"/v1/predictors/{number}/rollback")
    newest = answer(reported, DRIFT)["items"][:2]
    assert {(item["kind"], item["version"]) for item in newest} == {("pin", number), ("rollback", number)}


def test_coverage_tells_what_is_known_and_what_is_not(reported: TestClient) -> None:
    (item,) = answer(reported, COVERAGE)["items"]
    assert (item["soc"], item["processor"], item["framework"]) == ("SoC 1", "cpu:0", "onnxruntime")
    models = {model["name"]: model for model in item["models"]}
    assert models["middle"]["operators"] == {"measured": 1.0, "learned": 0.0, "fallback": 0.0}
    assert models["middle"]["runs"] == 40
    assert models["new"]["operators"]["fallback"] == 0.5
    assert sum(models["new"]["time"].values()) == pytest.approx(1.0)
    thin = {(entry["what"], entry["name"]) for entry in item["thin"]}
    assert {("op_type", "Mystery"), ("model", "new")} <= thin
    by_type = {entry["op_type"]: entry for entry in item["op_types"]}
    assert by_type["Mystery"]["samples"] == 1
    assert item["intervals"]["n"] == 121
    assert 0.0 < item["intervals"]["coverage"] <= 1.0
    assert item["profile_next"][0]["op_type"] in ("Conv", "Mystery")
    narrowed = answer(reported, COVERAGE, model="middle")["items"][0]["models"]
    assert [model["name"] for model in narrowed] == ["middle"]


def test_a_processor_without_a_predictor_is_shown_as_such(client: TestClient) -> None:
    send(client, phone.session(calm_runs=1, loaded_runs=0))
    (item,) = answer(client, COVERAGE)["items"]
    assert (item["version"], item["trained_runs"], item["models"]) == (None, 0, [])
    assert "calm runs" in item["thin"][0]["advice"]


def test_misses_of_any_group_are_split_into_their_causes(reported: TestClient) -> None:
    found = answer(reported, MISSES, group_by="model,condition", limit=100)
    assert found["runs"] + found["left_out"] == 100
    assert sum(item["n"] for item in found["groups"]) == found["runs"] > 90
    for item in found["groups"]:
        assert sum(item["parts"].values()) == pytest.approx(item["mean_log_ratio"], abs=1e-9)
        assert sum(item["shares"].values()) == pytest.approx(1.0)
        assert abs(item["mean_log_ratio"]) <= item["mean_abs_log_ratio"] + 1e-12
        assert item["profile_next"][0]["op_type"] in ("Conv", "Mystery")
    by_model = {item["group"]["model"]: item for item in found["groups"]}
    strange = by_model["new"]
    assert strange["n"] == 1
    assert strange["shares"]["mapping"] > 0.0
    assert by_model["middle"]["shares"]["mapping"] == 0.0
    assert answer(reported, MISSES, device_id="nobody")["groups"] == []


def test_a_single_run_is_explained_by_the_version_of_its_time(reported: TestClient) -> None:
    run = reported.get("/v1/runs", params={"condition": "s1", "model": "large"}).json()["items"][-1]
    (alone,) = answer(reported, MISSES, run_id=run["run_id"], soc="SoC 1")["groups"]
    assert (alone["group"], alone["n"]) == ({"condition": "s1"}, 1)
    assert alone["mean_abs_log_ratio"] == abs(alone["mean_log_ratio"])
    unknown = reported.get(MISSES, params={"run_id": "00000000-0000-0000-0000-000000000000"})
    assert unknown.status_code == 404
    assert reported.get(MISSES, params={"group_by": "colour"}).status_code == 422
    before = answer(reported, MISSES, until=phone.START.isoformat())
    assert (before["groups"], before["runs"], before["left_out"]) == ([], 0, 0)


@pytest.mark.parametrize("path", [DRIFT, COVERAGE, MISSES])
def test_they_leave_as_csv_and_parquet(reported: TestClient, path: str) -> None:
    csv = pd.read_csv(io.StringIO(reported.get(path, params={"format": "csv"}).text))
    parquet = pd.read_parquet(io.BytesIO(reported.get(path, params={"format": "parquet"}).content))
    assert len(csv) == len(parquet) > 0
    assert list(csv.columns) == list(parquet.columns)
    empty = reported.get(path, params={"format": "csv", "soc": "none"}).text
    assert empty.splitlines() == [",".join(csv.columns)]
    none = reported.get(path, params={"format": "parquet", "soc": "none"}).content
    assert list(pd.read_parquet(io.BytesIO(none)).columns) == list(csv.columns)


def test_wrong_parameters_are_told_what_is_wrong(client: TestClient) -> None:
    wrong = {
        "colour=red": "/query/colour",
        "limit=0": "/query/limit",
        "cursor=nonsense": "/query/cursor",
        "cursor=WzFlMzAsIDFd": "/query/cursor",
        "soc=%00": "/query/soc",
        "format=docx": "/query/format",
        "since=2026-11-22T00:00:00Z&until=2026-11-21T00:00:00Z": "/query/since",
        "since=2026-11-22T00:00:00": "/query/since",
    }
    for path in (DRIFT, COVERAGE):
        for query, pointer in wrong.items():
            response = client.get(f"{path}?{query}")
            assert response.status_code == 422, query
            assert response.headers["content-type"] == "application/problem+json"
            assert pointer in [error["pointer"] for error in response.json()["errors"]], query
