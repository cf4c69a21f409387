"""`POST /v1/measurements` as the contract says, on both databases."""

import gzip
import json
import uuid
from typing import Any

import pytest
import zstandard
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.store.engine import Database
from tests.batches import batch, run, transfer

URL = "/v1/measurements"


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_a_batch_becomes_plain_rows(client: TestClient, database: Database) -> None:
    sent = batch(run(ran_on=["gpu", "cpu", "gpu"]), run(operators=[], latency_us=[]), transfers=[transfer()])
    answer = client.post(URL, json=sent)
    assert answer.status_code == 200
    assert answer.json() == {
        "batch_id": sent["batch_id"],
        "accepted": {"runs": 2, "timings": 3, "transfers": 1},
        "duplicates": {"runs": 0, "timings": 0, "transfers": 0},
        "rejected": [],
        "clamped": 0,
    }
    stored = rows(
        database,
        "SELECT op_type, position, latency_ns, place.name FROM timing"
        " JOIN operator ON operator.id = operator_id LEFT JOIN execution_target AS place ON place.id = ran_on"
        " ORDER BY run_id, position",
    )
    assert stored == [("Conv", 0, 3_116_000, None), ("Relu", 1, 410_500, "cpu"), ("Relu", 2, 0, None)]
    assert rows(database, "SELECT count(*) FROM context") == [(1,)]
    assert rows(database, "SELECT total_ns, profiled, condition FROM run LIMIT 1") == [
        (4_000_500, True, "s1")
    ]
    assert rows(database, "SELECT run_count, timing_count FROM device") == [(2, 3)]
    assert rows(database, "SELECT size_bytes, latency_ns FROM transfer") == [(602112, 410_000)]


def test_sending_again_changes_nothing(client: TestClient, database: Database) -> None:
    sent = batch(run(), run(), transfers=[transfer()])
    client.post(URL, json=sent)
    again = client.post(URL, json=sent).json()
    assert again["accepted"] == {"runs": 0, "timings": 0, "transfers": 0}
    assert again["duplicates"]["runs"] == 2
    assert again["duplicates"]["transfers"] == 1
    assert rows(database, "SELECT count(*) FROM timing") == [(6,)]


def test_a_faulty_run_is_rejected_alone(client: TestClient, database: Database) -> None:
    faults = {
        "/runs/0/latency_us": run(latency_us=[1.0]),
        "/runs/1/latency_us/1": run(latency_us=[1.0, -2.0, 3.0]),
        "/runs/2/operators/2": run(operators=[0, 1, 9]),
        "/runs/3/run_id": run(run_id="nonsense"),
        "/runs/4/started_at": run(started_at="yesterday"),
        "/runs/5/context": run(context={"temperature_c": "hot"}),
        "/runs/6/latency_us/0": run(latency_us=[1e300, 1.0, 1.0]),
        "/runs/7/ran_on": run(ran_on=["gpu"]),
    }
    answer = client.post(URL, json=batch(*faults.values(), run())).json()
    assert answer["accepted"]["runs"] == 1
    assert [fault["pointer"].replace("/...", "") for fault in answer["rejected"]] == list(faults)
    assert rows(database, "SELECT count(*) FROM run") == [(1,)]


def test_nan_rejects_the_run_that_holds_it(client: TestClient) -> None:
    body = json.dumps(batch(run(), run(total_us=float("nan")), run(latency_us=[1.0, float("inf"), 1.0])))
    answer = client.post(URL, content=body, headers={"content-type": "application/json"}).json()
    assert answer["accepted"]["runs"] == 1
    assert [fault["pointer"] for fault in answer["rejected"]] == ["/runs/1/total_us", "/runs/2/latency_us/1"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies(client: TestClient, encoding: str) -> None:
    plain = json.dumps(batch()).encode()
    body = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    answer = client.post(URL, content=body, headers={"content-encoding": encoding})
    assert answer.json()["accepted"]["runs"] == 1


def test_ndjson_answers_one_line_a_batch(client: TestClient) -> None:
    lines = [json.dumps(batch()), "{broken", json.dumps(batch(run(), run()))]
    answer = client.post(
        URL, content="\n".join(lines) + "\n", headers={"content-type": "application/x-ndjson"}
    )
    first, second, third = map(json.loads, answer.text.splitlines())
    assert answer.status_code == 200
    assert (first["accepted"]["runs"], second["status"], third["accepted"]["runs"]) == (1, 400, 2)


def test_the_same_run_twice_in_one_request(client: TestClient, database: Database) -> None:
    twin = run(run_id=str(uuid.uuid4()))
    answer = client.post(URL, json=batch(twin, twin)).json()
    assert (answer["accepted"]["runs"], answer["duplicates"]["runs"]) == (1, 1)
    assert rows(database, "SELECT count(*) FROM timing") == [(3,)]


def test_shares_are_clamped_and_counted(client: TestClient, database: Database) -> None:
    answer = client.post(URL, json=batch(run(context={"cpu_utilization": 1.7, "kv_cache_length": 12}))).json()
    assert answer["clamped"] == 1
    ((fields,),) = rows(database, "SELECT fields FROM context")
    assert json.loads(fields) == {"cpu_utilization": 1.0, "kv_cache_length": 12}
