"""Learners read back exactly what agents sent, in order."""

import json

import numpy as np
import pytest
from sqlalchemy import text

from app.services.prepare import prepare
from app.store import learning, models, states
from app.store.engine import Database
from app.store.measurements import MeasurementWriter, StoredRun
from predictors.run import PredictorKey
from tests.batches import batch, run


def store(database: Database, *bodies: dict[str, object]) -> list[StoredRun]:
    seen: list[StoredRun] = []
    writer = MeasurementWriter(database.dialect, on_runs=lambda _connection, runs: seen.extend(runs))
    with database.write() as connection:
        writer.store(connection, [prepare(json.dumps(body).encode())[0] for body in bodies])
    return seen


def test_runs_come_back_in_order_and_whole(database: Database) -> None:
    sent = [
        run(),
        run(processor="cpu:0", operators=[], latency_us=[]),
        run(operators=[2, 3], latency_us=[1.5, 2.0], ran_on=["gpu", "cpu"]),
    ]
    seen = store(database, batch(*sent[:2]), batch(sent[2]))
    reader = learning.RunReader()
    with database.read() as connection:
        records = reader.after(connection, 0, 10)
        assert [r.run.run_id for r in records] == [s["run_id"] for s in sent]
        assert [r.id for r in reader.after(connection, records[0].id, 1)] == [records[1].id]
        assert [r.id for r in reader.before(connection, records[1].id, 10)] == [records[0].id, records[1].id]
        key = PredictorKey("Snapdragon 855", "gpu", "onnxruntime")
        assert [r.id for r in reader.before(connection, records[2].id, 1, key)] == [records[2].id]
    first = records[0].run
    assert first.query.key == key
    assert first.query.framework_version == "1.31.1"
    assert first.query.context == {"temperature_c": 41.2, "cpu_utilization": 0.5, "charging": 0.0}
    assert first.query.started_at_us == 1763708400123456 + 365 * 86_400_000_000
    assert [o.op_type for o in first.query.operators] == ["Conv", "Relu", "Relu"]
    assert first.query.operators[1] is first.query.operators[2]
    np.testing.assert_array_equal(first.latency_us, [3116.0, 410.5, 0.0])
    assert records[1].run.query.operators == ()
    assert [r.run.fell_back for r in records] == [frozenset(), frozenset(), frozenset({1})]
    assert records[2].run.query.operators[0].inputs == ((),)
    for hooked, record in zip(seen, records, strict=True):
        live = hooked.to_run()
        assert (hooked.run_id, live.query, live.total_us) == (
            record.id,
            record.run.query,
            record.run.total_us,
        )
        np.testing.assert_array_equal(live.latency_us, record.run.latency_us)
        assert live.fell_back == record.run.fell_back


def test_a_failing_hook_stores_nothing(database: Database) -> None:
    def fail(_connection: object, _runs: object) -> None:
        raise RuntimeError

    writer = MeasurementWriter(database.dialect, on_runs=fail)
    prepared = prepare(json.dumps(batch()).encode())[0]
    with pytest.raises(RuntimeError), database.write() as connection:
        writer.store(connection, [prepared])
    writer.forget()
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM run_identity")) == 0
        assert connection.scalar(text("SELECT count(*) FROM device")) == 0
    writer.on_runs = None
    with database.write() as connection:
        assert writer.store(connection, [prepared])[0].runs == 1


def test_the_cursor_moves_with_its_transaction(database: Database) -> None:
    with database.write() as connection:
        assert learning.cursor(connection, "slow") == 0
        learning.set_cursor(connection, "slow", 7)
        learning.set_cursor(connection, "slow", 2**60)
    with database.read() as connection:
        assert learning.cursor(connection, "slow") == 2**60
        assert learning.cursor(connection, "another") == 0


def test_states_are_replaced(database: Database) -> None:
    (stored,) = store(database, batch())
    with database.write() as connection:
        states.put_many(connection, {stored.processor_id: '{"a":1}'})
        states.put_many(connection, {stored.processor_id: '{"a":2}'})
    with database.read() as connection:
        assert states.get(connection, "mi9-0042", "gpu") == '{"a":2}'
        assert states.get(connection, "mi9-0042", "npu") is None
        assert states.get_many(connection, [stored.processor_id, 99]) == {stored.processor_id: '{"a":2}'}


def test_the_newest_profiled_run_tells_the_kernels(database: Database) -> None:
    digest = "sha256:" + "cd" * 32
    named = {"model": {"name": "m", "digest": digest}}
    store(
        database,
        batch(
            run(**named, operators=[0], latency_us=[1.0]),
            run(**named, operators=[1, 0], latency_us=[1.0, 2.0], processor="cpu:0"),
            run(**named, operators=[], latency_us=[], profiled=False),
        ),
    )
    with database.read() as connection:
        found = models.reported_kernels(connection, digest)
        assert found is not None
        assert [o.op_type for o in found] == ["Relu", "Conv"]
        on_gpu = models.reported_kernels(
            connection, digest, processor_name="gpu", framework_name="onnxruntime"
        )
        assert on_gpu is not None
        assert [o.op_type for o in on_gpu] == ["Conv"]
        assert models.reported_kernels(connection, "sha256:unknown") is None
