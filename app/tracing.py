"""OpenTelemetry traces of requests, sent to a collector where one is configured."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig

from app.errors import SocastError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class TracingMissingError(SocastError):
    """`otlp_endpoint` needs the extra `tracing`: `pip install 'socast[tracing]'`."""

    title = "Tracing is not installed"


class NoTraces:
    """No request is traced."""

    def __init__(self) -> None:
        self.telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

    def close(self) -> None:
        """Do nothing: nothing is waiting to be sent."""


class OtlpTraces:
    """Every request becomes a trace, sent in the background by OTLP over HTTP."""

    def __init__(self, endpoint: str) -> None:
        self._provider = _provider(endpoint)
        self.telemetry: TelemetryConfig = {
            "tracer_provider": self._provider,
            "metrics": False,
            "logs": False,
        }

    def close(self) -> None:
        """Send what is waiting."""
        self._provider.shutdown()


def traces(endpoint: str | None) -> NoTraces | OtlpTraces:
    """Return where traces go: to the collector at `endpoint`, or nowhere."""
    return NoTraces() if endpoint is None else OtlpTraces(endpoint)


def _provider(endpoint: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingMissingError from error
    resource = Resource.create({"service.name": "socast", "service.version": version("socast")})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
