"""Log lines go to where stderr points when they are written."""

import io
import json

import pytest
import structlog

from app.observability import configure_logging


def test_a_closed_stderr_does_not_silence_later_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    before = structlog.get_config()
    try:
        first = io.StringIO()
        monkeypatch.setattr("sys.stderr", first)
        configure_logging("info", "json")
        first.close()
        second = io.StringIO()
        monkeypatch.setattr("sys.stderr", second)
        structlog.get_logger("socast").info("still_here", runs=3)
        assert json.loads(second.getvalue())["event"] == "still_here"
    finally:
        structlog.configure(**before)
