"""Log lines go to where stderr points when they are written; metrics tell how the fleet stands."""

import io
import json
import re

import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from app.observability import configure_logging
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send
from tests.conftest import AppFactory


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


def test_the_metrics_page_shows_how_the_fleet_stands(client: TestClient, database: Database) -> None:
    send(client, phone.session(calm_runs=40, loaded_runs=20, now=True))
    pending = client.get("/v1/reports/errors").json()["pending_runs"]
    assert pending > 0
    assert f"socast_learner_pending_runs {pending:.1f}" in client.get("/metrics").text
    learn_all(database)
    page = client.get("/metrics").text
    assert "socast_learner_pending_runs 0.0" in page
    assert "socast_devices 1.0" in page
    assert "socast_quarantined_devices 0.0" in page
    error = {
        rung: float(value)
        for rung, value in re.findall(r'socast_prediction_mape_ratio\{rung="(\w+)"\} (\S+)', page)
    }
    assert 0.0 < error["runtime"] < error["calm"]


def test_the_metrics_page_answers_without_a_database(
    serve: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()

    def gone(_database: Database) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(Database, "read", gone)
    page = client.get("/metrics")
    assert page.status_code == 200
    assert "socast_database_up 0.0" in page.text
