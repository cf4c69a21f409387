"""Error statistics merge to what one pass over all errors would give."""

import numpy as np
import pytest

from app.store import reports
from app.store.engine import Database
from app.store.reports import Cell, CellKey
from tests.batches import batch, run
from tests.store.test_learning import store


def cell(errors: list[float]) -> Cell:
    made = Cell()
    for error in errors:
        made.add(np.array([error]), {"ape": error, "squared": error**2})
    return made


def test_statistics_merge_and_group(database: Database) -> None:
    gpu, cpu = store(database, batch(run(), run(processor="cpu:0")))
    errors = np.random.default_rng(0).lognormal(-2, 1, 900)
    gpu_calm = CellKey(5, gpu.processor_id, "s1", 1, "", "calm", "run", "d1")
    cells = [
        {gpu_calm: cell(errors[:300].tolist())},
        {gpu_calm: cell(errors[300:600].tolist()), gpu_calm._replace(hour=6): cell(errors[600:].tolist())},
        {gpu_calm._replace(processor_id=cpu.processor_id, rung="runtime"): cell([0.5])},
    ]
    for some in cells:
        with database.write() as connection:
            reports.add(connection, some)
    with database.read() as connection:
        calm, runtime = reports.query(connection, ("device", "processor"))[::-1]
        by_hour = reports.query(connection, ("hour",), since_us=6 * reports.HOUR_US)
        elsewhere = reports.query(connection, (), device_id="nobody")
    assert calm.dimensions == {"device": "mi9-0042", "processor": "gpu"}
    assert (calm.rung, calm.level, calm.cell.n) == ("calm", "run", 900)
    assert calm.cell.sums["ape"] == pytest.approx(errors.sum())
    rank = float(np.mean(errors <= calm.cell.sketch.get_quantile(0.5)))
    assert rank == pytest.approx(0.5, abs=0.04)
    assert (runtime.dimensions["processor"], runtime.cell.n) == ("cpu:0", 1)
    assert [(g.dimensions["hour"], g.cell.n) for g in by_hour] == [(6, 300)]
    assert elsewhere == []


def test_nothing_to_add(database: Database) -> None:
    with database.write() as connection:
        reports.add(connection, {})
    with database.read() as connection:
        assert reports.query(connection, reports.DIMENSIONS) == []
