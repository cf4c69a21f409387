"""Pruning forgets what is old, keeps the counts exact, and leaves a whole database."""

import json
import time

import pytest
from sqlalchemy import text

from app.services import upkeep
from app.services.prepare import prepare
from app.store import retention
from app.store.engine import Database
from app.store.measurements import MeasurementWriter
from tests.batches import batch, run, transfer

DAY_NS = 86_400 * 10**9
START_NS = 1_800_000_000 * 10**9


def counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table: connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0
            for table in ("run", "run_identity", "timing", "context", "transfer")
        }


@pytest.fixture
def three_weeks(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A batch of two runs and a transfer a day, 21 days long, for two devices."""
    writer = MeasurementWriter(database.dialect, partition_days=7)
    for day in range(21):
        monkeypatch.setattr(time, "time_ns", lambda day=day: START_NS + day * DAY_NS)
        for name in ("a", "b"):
            body = batch(run(), run(), transfers=[transfer()], device={"device_id": name})
            with database.write() as connection:
                writer.store(connection, [prepare(json.dumps(body).encode())[0]])
    return database


def test_prune_drops_what_is_old(three_weeks: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE_RUNS", 5)
    before = counts(three_weeks)
    assert before == {"run": 84, "run_identity": 84, "timing": 252, "context": 42, "transfer": 42}
    cut_us = START_NS // 1000 + 14 * DAY_NS // 1000
    pruned = retention.prune(three_weeks, cut_us)
    after = counts(three_weeks)
    assert before["run"] - after["run"] == pruned.runs
    assert before["timing"] - after["timing"] == pruned.timings == 3 * pruned.runs
    assert after["transfer"] == 14
    with three_weeks.read() as connection:
        oldest = connection.scalar(text("SELECT min(id) FROM run")) or 0
        assert connection.scalar(text("SELECT sum(run_count) FROM device")) == after["run"]
        assert connection.scalar(text("SELECT sum(timing_count) FROM device")) == after["timing"]
    if three_weeks.dialect == "sqlite":
        assert pruned.runs == 56
        assert oldest >= cut_us
    else:
        # Whole partitions go: at most one of seven days is kept longer.
        assert 28 <= pruned.runs <= 56
        assert oldest >= cut_us - 7 * DAY_NS // 1000
    upkeep.check(three_weeks)


def test_pruning_twice_changes_nothing_more(three_weeks: Database) -> None:
    cut_us = START_NS // 1000 + 14 * DAY_NS // 1000
    retention.prune(three_weeks, cut_us)
    assert retention.prune(three_weeks, cut_us) == retention.Pruned()


def test_check_names_what_is_wrong(three_weeks: Database) -> None:
    upkeep.check(three_weeks)
    with three_weeks.write() as connection:
        connection.execute(text("DELETE FROM run WHERE id = (SELECT max(id) FROM run)"))
    with pytest.raises(upkeep.UnhealthyDatabaseError, match="timings without a run"):
        upkeep.check(three_weeks)
