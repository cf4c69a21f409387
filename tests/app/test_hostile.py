"""Whatever is sent: a clear answer, nothing lost, nothing half-written, never a server error."""

import copy
import gzip
import json
import random
import threading
import time
import uuid
from typing import Any

import pytest
import zstandard
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.services import upkeep
from app.store.engine import Database
from app.store.measurements import WRITER_LOCK
from tests.batches import OPERATORS, batch, run, transfer
from tests.conftest import AppFactory
from tests.processes import wait_until

URL = "/v1/measurements"
JSON = {"content-type": "application/json"}


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"batch_id": "\xff\xfe"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"[" * 200_000, 422),
        (b'{"batch_id":"b","device":{"device_id":"d"},"runs":[' + b"[" * 200_000, 400),
        (b'{"batch_id":"b","unknown":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
        (json.dumps(batch()).encode("utf-16"), 400),
        (json.dumps(batch()).encode()[:-20], 400),
        (json.dumps(batch(device={})).encode(), 422),
        (json.dumps(batch(device={"device_id": ""})).encode(), 422),
        (json.dumps(batch(device={"device_id": "nul\0"})).encode(), 422),
    ],
    ids=lambda value: value if isinstance(value, int) else "body",
)
def test_bodies_that_are_no_batch(client: TestClient, database: Database, body: bytes, status: int) -> None:
    answer = client.post(URL, content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert count(database, "device") == 0


def test_one_bad_run_among_a_thousand(client: TestClient, database: Database) -> None:
    runs = [run() for _ in range(1000)]
    runs[421]["latency_us"] = [1.0, "fast", 1.0]
    answer = client.post(URL, json=batch(*runs)).json()
    assert answer["accepted"] == {"runs": 999, "timings": 2997, "transfers": 0}
    assert [fault["pointer"] for fault in answer["rejected"]] == ["/runs/421/latency_us/1"]
    assert count(database, "timing") == 2997


def test_ten_thousand_operators_in_a_run(client: TestClient, database: Database) -> None:
    wide = run(operators=[i % 4 for i in range(10_000)], latency_us=[float(i) for i in range(10_000)])
    assert client.post(URL, json=batch(wide)).json()["accepted"]["timings"] == 10_000
    with database.read() as connection:
        last = connection.execute(text("SELECT max(position), max(latency_ns) FROM timing")).one()
    assert tuple(last) == (9999, 9_999_000)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_bombs_are_noticed_early(client: TestClient, encoding: str) -> None:
    plain = bytes(100 * 2**20)
    bomb = gzip.compress(plain, 1) if encoding == "gzip" else zstandard.compress(plain)
    answer = client.post(URL, content=bomb, headers=JSON | {"content-encoding": encoding})
    assert answer.status_code == 413
    assert client.post(URL, json=batch()).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (b"not zstd", {"content-encoding": "zstd"}, 400),
        (b"{}", {"content-encoding": "br"}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
    ],
)
def test_wrong_encodings(client: TestClient, content: bytes, headers: dict[str, str], status: int) -> None:
    assert client.post(URL, content=content, headers=JSON | headers).status_code == status


def test_too_large_a_body(serve: AppFactory) -> None:
    client = serve(max_body_bytes=2048)
    assert client.post(URL, content=b" " * 4096, headers=JSON).status_code == 413
    assert client.post(URL, content=iter([b" " * 1024] * 4), headers=JSON).status_code == 413


def test_two_agents_send_the_same_batch_at_once(client: TestClient, database: Database) -> None:
    body = batch(*(run() for _ in range(50)), transfers=[transfer()])
    answers: list[dict[str, Any]] = []
    barrier = threading.Barrier(4)

    def send() -> None:
        barrier.wait()
        answers.append(client.post(URL, json=body).json())

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["accepted"]["runs"] for answer in answers) == 50
    assert sum(answer["duplicates"]["runs"] for answer in answers) == 150
    assert count(database, "timing") == 150
    upkeep.check(database)


def test_a_batch_replayed_a_day_later(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = batch()
    client.post(URL, json=body)
    tomorrow = time.time_ns() + 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: tomorrow)
    assert client.post(URL, json=body).json()["duplicates"]["runs"] == 1
    assert count(database, "run") == 1


def test_a_clock_set_back_keeps_ids_rising(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(URL, json=batch())
    yesterday = time.time_ns() - 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: yesterday)
    later = run()
    client.post(URL, json=batch(later))
    with database.read() as connection:
        ids = connection.scalars(text("SELECT id FROM run ORDER BY id")).all()
        newest = connection.scalar(text("SELECT max(run_id) FROM run_identity"))
    assert ids[1] == ids[0] + 1 == newest


def test_a_full_queue_refuses_and_recovers(serve: AppFactory) -> None:
    client = serve(max_body_bytes=1024, max_decoded_bytes=4096, max_held_bytes=5120)
    ingest = client.app.state.ingest  # type: ignore[attr-defined]
    with ingest.reservation() as held:
        held.take(5000)
        refused = client.post(URL, json=batch(run(), operators=OPERATORS[:2]), headers={})
        assert refused.status_code in (413, 429)
        refused = client.post(URL, content=b'{"batch_id":' + b" " * 500, headers=JSON)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
    assert client.post(URL, content=b"{}", headers=JSON).status_code == 422


def test_a_stopping_server_says_so(client: TestClient) -> None:
    client.app.state.ingest.close()  # type: ignore[attr-defined]
    answer = client.post(URL, json=batch())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


def test_one_request_that_fails_does_not_fail_its_group(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = client.app.state.ingest  # type: ignore[attr-defined]
    poison = str(uuid.uuid4())
    store = ingest._writer.store

    def failing(connection: Any, batches: Any) -> Any:
        stored = store(connection, batches)
        if any(b.batch_id == poison for b in batches):
            raise RuntimeError("no room")
        return stored

    monkeypatch.setattr(ingest._writer, "store", failing)
    statuses: list[int] = []
    bodies = [json.dumps(batch(**names)).encode() for names in ({"batch_id": poison}, *[{}] * 5)]

    def send(body: bytes) -> None:
        statuses.append(client.post(URL, content=body, headers=JSON).status_code)

    threads = [threading.Thread(target=send, args=[body]) for body in bodies]
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
        for thread in threads:
            thread.start()
        size_bytes = sum(map(len, bodies))
        wait_until(lambda: ingest._budget.held_bytes >= size_bytes, "all wait for the database")
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [503]
    assert count(database, "run") == 5
    upkeep.check(database)


NASTY: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**400,
    1e308,
    -0.0,
    "",
    "\0",
    "\ud800",
    "x" * 100_000,
    "💣'; DROP TABLE run; --",
    [],
    {},
    [[]],
    {"": None},
    [None],
    "NaN",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


FULL = batch(run(ran_on=["gpu", "cpu", "gpu"], inclusion_probability=0.5), run(), transfers=[transfer()])


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(places(FULL)), st.sampled_from(NASTY)), min_size=1, max_size=3))
def test_any_field_may_hold_anything(client: TestClient, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(FULL)
    for one in (*body["runs"], *body["transfers"]):
        for name in ("run_id", "transfer_id"):
            if name in one:
                one[name] = str(uuid.UUID(int=random.getrandbits(128), version=4))
    for path, value in changes:
        place: Any = body
        try:
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    answer = client.post(URL, content=json.dumps(body), headers=JSON)
    assert answer.status_code in (200, 400, 422), (changes, answer.text)
    if answer.status_code == 200:
        assert client.get("/v1/runs?include=timings").status_code == 200
    else:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/runs?device_id=a%00b", None),
        ("GET", "/v1/runs?condition=%00", None),
        ("GET", "/v1/reports/errors?device_id=%00", None),
        ("GET", "/v1/models/sha256:%00", None),
        ("POST", "/v1/predictions", {"device_id": "a\0", "processor": "cpu:0", "model": {"digest": "x"}}),
        ("POST", "/v1/plan", {"device_id": "a\0", "models": [{"digest": "sha256:x"}]}),
        ("GET", "/v1/plan?device_id=%00&model=sha256:x", None),
    ],
)
def test_a_text_with_nul_is_the_caller_s_fault_everywhere(
    client: TestClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code in (200, 404, 422), answer.text
