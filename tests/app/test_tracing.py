"""Requests become traces at a real OTLP endpoint, and nothing is traced unless one is configured."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.main import create_app
from app.settings import Settings
from app.tracing import NoTraces, traces
from tests.processes import LIMIT_S

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(HTTPServer):
    """Takes spans in as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.received: list[tuple[str, ExportTraceServiceRequest]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_continues_the_caller_s_trace(
    sqlite_url: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(LIMIT_S))
    endpoint = f"http://127.0.0.1:{collector.server_port}/"
    app = create_app(Settings.load(database=sqlite_url, open=True, no_learner=True, otlp_endpoint=endpoint))
    with TestClient(app) as client:
        client.get("/v1/devices", headers={"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"})
    assert {path for path, _ in collector.received} == {"/v1/traces"}
    resources = [spans for _, request in collector.received for spans in request.resource_spans]
    names = {item.key: item.value.string_value for item in resources[0].resource.attributes}
    assert names["service.name"] == "socast"
    spans = [span for item in resources for scope in item.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert "GET /v1/devices" in {span.name for span in spans}


def test_without_an_endpoint_nothing_is_traced() -> None:
    none = traces(None)
    assert isinstance(none, NoTraces)
    assert none.telemetry["tracing"] is False
