"""The service with real data, as a browser meets it: under its own address, in this process."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import httpx
import uvicorn
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.store.engine import Database
from tests.app.test_learning import learn_all
from tests.onnx_models import light

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "two-core-x86.ndjson.gz"
SAMPLE_DEVICE = "sample-host"
RUNS = 420
"""So much of the sample: its calibration and the first changes of condition."""

HOSTILE_DEVICE = "<script>alert(1)</script>\"'</script><img src=x onerror=alert(2)>"
MODELS = ("squeezenet", "shufflenet")

PATIENCE_S = 120.0
get, post = partial(httpx.get, timeout=PATIENCE_S), partial(httpx.post, timeout=PATIENCE_S)
"""Requests without a browser; httpx itself gives up after five seconds, which a busy machine may need."""


def fill(url: str) -> None:
    """Store and learn part of the project's own sample; add model files and a device that only said hello."""
    with TestClient(create_app(Settings(database=url, open=True, no_learner=True))) as client:
        sent = 0
        with gzip.open(SAMPLE, "rt") as lines:
            for line in islice(lines, 10_000):
                if sent >= RUNS:
                    break
                receipt = client.post("/v1/measurements", content=line.encode()).raise_for_status().json()
                sent += receipt["accepted"]["runs"]
        hello = {
            "batch_id": "hello",
            "device": {"device_id": HOSTILE_DEVICE, "soc": "<b>SoC</b>"},
            "runs": [],
        }
        client.post("/v1/measurements", json=hello).raise_for_status()
        for name in MODELS:
            client.post("/v1/models", content=light(name), params={"name": name}).raise_for_status()
    database = Database(url)
    learn_all(database)
    database.dispose()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve in a thread until the block ends; yields the address."""
    service = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(service, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        service.state.draining.set()
        server.should_exit = True
        thread.join(30)
