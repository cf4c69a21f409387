"""The queries that learners, reports and analysts really make use the indexes made for them."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from app.services.prepare import prepare
from app.store import learning, models, runs
from app.store.engine import Connection, Database
from app.store.measurements import MeasurementWriter
from app.store.runs import RunFilter
from predictors.run import PredictorKey
from tests.batches import batch, run

DEVICES, BATCHES, RUNS = 20, 40, 25
DIGESTS = ["sha256:" + f"{i:02x}" * 32 for i in range(20)]


@pytest.fixture
def filled(database: Database) -> Database:
    """20,000 runs of 20 devices and as many models."""
    writer = MeasurementWriter(database.dialect)
    for number in range(BATCHES):
        batches = []
        for device in range(DEVICES):
            sent = [
                run(
                    model={"name": f"m{device}", "digest": DIGESTS[device]},
                    started_at=f"2026-11-{1 + number % 28:02d}T{i % 24:02d}:00:00Z",
                    context={"temperature_c": float(i)},
                    operators=[0, 1],
                    latency_us=[1.0, 2.0],
                )
                for i in range(RUNS)
            ]
            body = batch(*sent, device={"device_id": f"d{device}", "soc": f"soc{device}"})
            batches.append(prepare(json.dumps(body).encode())[0])
        with database.write() as connection:
            writer.store(connection, batches)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))
    return database


@contextmanager
def explained(connection: Connection) -> Iterator[list[str]]:
    """Collect the plans of the SELECT statements that the block executes."""
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().startswith("SELECT"):
            return
        sqlite = connection.dialect.name == "sqlite"
        with_plan = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        with_plan.execute(("EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN ") + statement, parameters)
        plans.append("\n".join(str(row[-1]) for row in with_plan.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def scanned(plan: str) -> set[str]:
    """Return which of the large tables a plan reads from end to end."""
    found = re.findall(r"^SCAN (run|timing|context)\b(?! USING)", plan, re.M)
    # The partition made ahead of its time is empty, and costs nothing.
    found += re.findall(r"Seq Scan on (run|timing|context)_\d+ \w+  \(cost=0\.00\.\.(?!0\.00 )", plan)
    return set(found)


def test_queries_use_their_indexes(filled: Database) -> None:
    with filled.read() as connection:
        ids = connection.scalars(text("SELECT id FROM run ORDER BY id")).all()
        reader = learning.RunReader()
        queries = {
            "learner, next runs": lambda: reader.after(connection, ids[-50], 100),
            "learner, last runs": lambda: reader.before(connection, ids[-1], 50),
            "learner, last runs of a key": lambda: reader.before(
                connection, ids[-1], 50, PredictorKey("soc3", "gpu", "onnxruntime")
            ),
            "kernels of a model": lambda: models.reported_kernels(connection, DIGESTS[3]),
            "newest runs": lambda: runs.list_runs(connection, RunFilter(), limit=20),
            "runs of a device": lambda: runs.list_runs(connection, RunFilter(device_id="d3"), limit=20),
            "runs of an hour": lambda: runs.list_runs(
                connection,
                RunFilter(since_us=1_794_700_800_000_000, until_us=1_794_704_400_000_000),
                limit=20,
            ),
            "runs with timings": lambda: runs.list_runs(connection, RunFilter(), limit=20, with_timings=True),
        }
        for name, query in queries.items():
            with explained(connection) as plans:
                assert query(), name
            assert plans, name
            for plan in plans:
                assert not scanned(plan), f"{name}:\n{plan}"

        with explained(connection) as plans:
            connection.execute(text("SELECT sum(latency_ns) FROM timing WHERE latency_ns > 5"))
        assert scanned(plans[0]) == {"timing"}, "a scan must be noticed"
