"""Predictions over HTTP: latency of one caller, and how many callers one process serves."""

import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.services.learn import Learning
from app.store.engine import Database
from collectors.client import Client
from tests import phone
from tests.bench.row import Row, at_least, at_most
from tests.load import server

CALLS = 400
CALLERS = 8
CALLS_A_CALLER = 150
OPERATORS = 120


def run() -> list[Row]:
    """Measure against a server of its own; ratios are to an empty endpoint in the same run."""
    with learned() as port:
        known = _request(model={"digest": phone.digest("large")})
        listed = _request(operators=_operators(OPERATORS))
        empty_s = _latencies_s(port, "GET", "/healthz", b"", CALLS)
        known_s = _latencies_s(port, "POST", "/v1/predictions", known, CALLS)
        listed_s = _latencies_s(port, "POST", "/v1/predictions", listed, CALLS)
        empty_rate = _calls_per_s(port, "GET", "/healthz", b"")
        known_rate = _calls_per_s(port, "POST", "/v1/predictions", known)
    return [
        Row("empty endpoint, p50", statistics.median(empty_s) * 1e3, "ms"),
        at_most("known model, p50", statistics.median(known_s) * 1e3, "ms", 1.0),
        at_most(f"{OPERATORS} operators, p50", statistics.median(listed_s) * 1e3, "ms", 3.0),
        Row("known model, p99", _p99(known_s) * 1e3, "ms"),
        Row(f"{CALLERS} callers, empty endpoint", empty_rate, "1/s"),
        Row(f"{CALLERS} callers, known model", known_rate, "1/s"),
        at_least(f"{CALLERS} callers, known model ÷ empty endpoint", known_rate / empty_rate, "", 0.5),
    ]


@contextmanager
def learned() -> Iterator[int]:
    """Run a server over a phone that was learned from; yield its port."""
    with (
        tempfile.TemporaryDirectory() as directory,
        server(url := f"sqlite:///{directory}/socast.db") as running,
    ):
        with Client(f"http://127.0.0.1:{running.port}") as client:
            for batch in phone.session(calm_runs=120, loaded_runs=60):
                client.upload(phone.encoded(batch), encoding=None)
        database = Database(url)
        learning = Learning(database)
        while learning.step():
            pass
        database.dispose()
        yield running.port


def _request(**fields: Any) -> bytes:
    return json.dumps({"device_id": phone.DEVICE_ID, "processor": phone.PROCESSOR, **fields}).encode()


def _operators(count: int) -> list[dict[str, Any]]:
    """Return distinct operators, as many as a middle-sized network has."""
    return [
        {
            "op_type": "Conv",
            "inputs": [[1, 16 + number, 28, 28], [32, 16 + number, 3, 3]],
            "outputs": [[1, 32, 28, 28]],
            "attributes": {"kernel_shape": [3, 3], "group": 1},
        }
        for number in range(count)
    ]


def _latencies_s(port: int, method: str, path: str, body: bytes, calls: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    latencies = []
    for number in range(calls + 20):
        started = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(content.decode())
        if number >= 20:
            latencies.append(time.perf_counter() - started)
    connection.close()
    return latencies


def _calls_per_s(port: int, method: str, path: str, body: bytes) -> float:
    threads = [
        threading.Thread(target=_latencies_s, args=(port, method, path, body, CALLS_A_CALLER))
        for _ in range(CALLERS)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return CALLERS * (CALLS_A_CALLER + 20) / (time.perf_counter() - started)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
