"""`GET /v1/devices` and `GET /v1/runs`."""

import pytest
from fastapi.testclient import TestClient

from tests.batches import OPERATORS, batch, run

URL = "/v1/measurements"


def test_devices_with_exact_counts(client: TestClient) -> None:
    for name in ("b", "a", "c"):
        client.post(URL, json=batch(run(), run(), device={"device_id": name, "soc": f"soc-{name}"}))
    client.post(URL, json=batch(run(processor="cpu-big-2"), device={"device_id": "a"}))
    first = client.get("/v1/devices", params={"limit": 2}).json()
    assert [(d["device_id"], d["soc"], d["runs"], d["timings"]) for d in first["items"]] == [
        ("a", "soc-a", 3, 9),
        ("b", "soc-b", 2, 6),
    ]
    assert [p["name"] for p in first["items"][0]["processors"]] == ["cpu-big-2", "gpu"]
    assert first["items"][0]["processors"][0]["resources"] == ["cpu-big"]
    assert first["items"][0]["context"] == {"temperature_c": 41.2, "cpu_utilization": 0.5, "charging": False}
    second = client.get("/v1/devices", params={"limit": 2, "cursor": first["next"]}).json()
    assert [d["device_id"] for d in second["items"]] == ["c"]
    assert second["next"] is None
    assert [d["device_id"] for d in client.get("/v1/devices?soc=soc-b").json()["items"]] == ["b"]


def test_runs_newest_first_and_page_by_page(client: TestClient) -> None:
    sent = [run(started_at=f"2026-11-21T07:00:0{second}Z") for second in (3, 1, 4, 1, 5)]
    client.post(URL, json=batch(*sent))
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/v1/runs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["run_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [sent[i]["run_id"] for i in (4, 2, 0, 3, 1)]


def test_runs_by_filter(client: TestClient) -> None:
    digest = "sha256:" + "0" * 64
    runs = {
        "gpu": run(),
        "cpu": run(processor="cpu:0", condition=None),
        "model": run(model={"name": "m", "digest": digest}, started_at="2026-11-20T00:00:00Z"),
    }
    client.post(URL, json=batch(*runs.values()))
    client.post(URL, json=batch(device={"device_id": "other"}))

    def found(**params: str) -> set[str]:
        ids = {item["run_id"] for item in client.get("/v1/runs", params=params).json()["items"]}
        return {name for name, one in runs.items() if one["run_id"] in ids}

    assert found() == {"gpu", "cpu", "model"}
    assert found(processor="cpu:0") == {"cpu"}
    assert found(device_id="mi9-0042", processor="gpu") == {"gpu", "model"}
    assert found(device_id="nobody") == set()
    assert found(model="m") == found(model=digest) == {"model"}
    assert found(condition="s1") == {"gpu", "model"}
    assert found(since="2026-11-21T00:00:00Z") == {"gpu", "cpu"}
    assert found(until="2026-11-21T00:00:00Z") == {"model"}


def test_runs_with_their_timings(client: TestClient) -> None:
    sent = run(operators=[0, 3, 2], latency_us=[1.5, 0.0, 7.25], ran_on=["gpu", "cpu", "gpu"])
    client.post(URL, json=batch(sent))
    (plain,) = client.get("/v1/runs").json()["items"]
    assert "operators" not in plain
    (full,) = client.get("/v1/runs?include=timings").json()["items"]
    defaults = {"inputs": [], "outputs": [], "dtype": "float32", "attributes": {}}
    assert full["operators"] == [defaults | OPERATORS[i] for i in (0, 3, 2)]
    assert full["latency_us"] == sent["latency_us"]
    assert full["ran_on"] == sent["ran_on"]
    assert {name: full[name] for name in ("context", "total_us", "energy_mj", "model", "started_at")} == {
        name: sent[name] for name in ("context", "total_us", "energy_mj", "model", "started_at")
    }


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "/query/limit"), ("cursor=nonsense", "/query/cursor"), ("since=soon", "/query/since")],
)
def test_wrong_queries(client: TestClient, query: str, pointer: str) -> None:
    answer = client.get(f"/v1/runs?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
