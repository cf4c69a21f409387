"""A hundred schedulers ask one server for plans at the same moment."""

import http.client
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from collectors.client import Client
from tests import phone
from tests.bench.prediction import learned
from tests.bench.row import Row, at_most
from tests.onnx_models import LIGHT_DIRECTORY

SCHEDULERS = 100
ROUNDS = 3
NETWORK = "squeezenet"


def run() -> list[Row]:
    """Measure each answer from the moment at which all have asked; none may fail."""
    with learned() as port:
        with Client(f"http://127.0.0.1:{port}") as client:
            digest = client.register_model(LIGHT_DIRECTORY / f"light_{NETWORK}.onnx")["digest"]
        body = json.dumps({"device_id": phone.DEVICE_ID, "models": [{"digest": digest}]}).encode()
        alone_s = _ask(port, body, threading.Barrier(1))[0]
        start = threading.Barrier(SCHEDULERS)
        with ThreadPoolExecutor(SCHEDULERS) as pool:
            asked = [pool.submit(_ask, port, body, start) for _ in range(SCHEDULERS)]
            latencies_s = sorted(latency for answer in asked for latency in answer.result())
    median_s, p99_s = statistics.median(latencies_s), latencies_s[int(0.99 * len(latencies_s))]
    return [
        Row("one scheduler, first answer", alone_s * 1e3, "ms"),
        Row(f"{SCHEDULERS} schedulers at once, p50", median_s * 1e3, "ms"),
        at_most(f"{SCHEDULERS} schedulers at once, p99 ÷ p50", p99_s / median_s, "", 20.0),
    ]


def _ask(port: int, body: bytes, start: threading.Barrier) -> list[float]:
    """Ask as often as there are rounds, each time together with all others; return the latencies."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    latencies_s = []
    for _ in range(ROUNDS):
        start.wait()
        started = time.perf_counter()
        connection.request("POST", "/v1/plan", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(content.decode())
        latencies_s.append(time.perf_counter() - started)
    connection.close()
    return latencies_s
