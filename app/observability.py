"""Structured logs and the metrics that `/metrics` shows."""

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter("socast_http_requests_total", "Requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram("socast_http_request_seconds", "Time from a request to its answer.", ["route"])
INGEST_ROWS = Counter(
    "socast_ingest_rows_total",
    "Measurements taken in (kind run, timing, transfer or outcome).",
    ["kind", "outcome"],
)
INGEST_CLAMPED = Counter("socast_ingest_clamped_total", "Shares outside 0 to 1 that were clamped.")
INGEST_SECONDS = Histogram("socast_ingest_commit_seconds", "Time of one write transaction.")
INGEST_GROUP_BATCHES = Histogram(
    "socast_ingest_group_batches", "Batches in one write transaction.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
INGEST_HELD_BYTES = Gauge("socast_ingest_held_bytes", "Bytes that requests in progress hold in memory.")

DATABASE_UP = Gauge("socast_database_up", "1 when the database answered at this scrape, else 0.")
DEVICES = Gauge("socast_devices", "Devices that ever sent anything.")
QUARANTINED_DEVICES = Gauge("socast_quarantined_devices", "Devices set aside because they contradict peers.")
PENDING_RUNS = Gauge("socast_learner_pending_runs", "Stored runs that the learner has not read yet.")
PREDICTION_MAPE = Gauge(
    "socast_prediction_mape_ratio",
    "Mean absolute percentage error of whole runs in the last day, as a fraction.",
    ["rung"],
)


def configure_logging(level: str, log_format: str) -> None:
    """Send structured log lines to stderr, on the console style or as JSON."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
