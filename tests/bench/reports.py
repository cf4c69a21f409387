"""Reports over a month of a million runs: how long each grouping takes, and what keeping the sums costs.

The month is scored predictions of a fleet, handed to the store as the learner hands them, a day at a time.
"""

import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, groupby
from pathlib import Path

import numpy as np
from sqlalchemy import insert, text

from app.services import report
from app.store import migrate, rollups
from app.store.engine import Database
from app.store.reports import DIMENSIONS, EVERYTHING, ErrorFilter
from app.store.rollup_views import HOUR_US
from app.store.rollups import CellKey
from app.store.statistic import RUNGS, TERMS, Cell
from app.store.tables import device, model, processor
from tests.bench.row import Row, at_most
from tests.postgres import fresh_database, server_url, stop_server

RUNS = int(os.environ.get("SOCAST_BENCH_RUNS", "1000000"))
DEVICES, SOCS, MODELS, OP_TYPES, CONDITIONS = 20, 5, 10, 10, 5
SESSIONS_A_DEVICE = 6
DAYS = 30
FIRST_HOUR = 496_224
"""2026-08-11, so that the days lie in two months."""

TARGET_MS = 200.0
REPEATS = 2

Cells = Mapping[CellKey, Cell]


def run() -> list[Row]:
    """Measure both databases."""
    with tempfile.TemporaryDirectory(prefix="socast-bench-") as directory:
        rows = _measure("sqlite", f"sqlite:///{Path(directory) / 'socast.db'}")
    postgres = Path(tempfile.mkdtemp(prefix="socast-postgres-"))
    try:
        return rows + _measure("postgresql", fresh_database(server_url(postgres), "socast_bench"))
    finally:
        stop_server(postgres)


def _measure(name: str, url: str) -> list[Row]:
    database = Database(url)
    migrate.upgrade(database)
    _fleet(database)
    began = time.perf_counter()
    for cells in month(RUNS):
        with database.write() as connection:
            rollups.add(connection, cells)
    filled_s = time.perf_counter() - began
    with database.write() as connection:
        connection.execute(text("ANALYZE"))
    with database.read() as connection:
        kept = connection.scalar(text("SELECT count(*) FROM error_rollup")) or 0
    rows = [
        Row(f"{name}: rows kept", kept, "rows"),
        Row(f"{name}: filling", filled_s * 1e6 / RUNS, "µs/run"),
        Row(f"{name}: one step of the learner (200 runs)", _step_ms(database), "ms"),
    ]
    rows += _answers(name, database)
    database.dispose()
    return rows


def _answers(name: str, database: Database) -> list[Row]:
    """Return the answer times by how many dimensions are grouped by, and of each grouping by one."""
    times: dict[tuple[str, ...], float] = {}
    for count, step in ((0, 1), (1, 1), (2, 1), (3, 4)):
        for group_by in list(combinations(DIMENSIONS, count))[::step]:
            times[group_by] = _answer_ms(database, group_by)
    rows = [
        at_most(f"{name}: by {group_by[0] if group_by else 'nothing'}", times[group_by], "ms", TARGET_MS)
        for group_by in times
        if len(group_by) < 2
    ]
    for count in (2, 3):
        own = {group_by: taken for group_by, taken in times.items() if len(group_by) == count}
        slowest = max(own, key=lambda group_by: own[group_by])
        rows.append(Row(f"{name}: by {count} dimensions, median", statistics.median(own.values()), "ms"))
        rows.append(
            at_most(f"{name}: by {count}, slowest ({', '.join(slowest)})", own[slowest], "ms", TARGET_MS)
        )
        slow = sum(taken > TARGET_MS for taken in own.values())
        rows.append(Row(f"{name}: by {count}, groupings over target of {len(own)}", slow, ""))
    every = DIMENSIONS[:-2]
    rows.append(at_most(f"{name}: by {', '.join(every)}", _answer_ms(database, every), "ms", TARGET_MS))
    lately = ErrorFilter(since_us=(FIRST_HOUR + 55) * HOUR_US)
    taken = _answer_ms(database, ("condition", "processor"), lately)
    rows.append(at_most(f"{name}: by condition, processor, since an odd hour", taken, "ms", TARGET_MS))
    return rows


def _answer_ms(database: Database, group_by: Sequence[str], wanted: ErrorFilter = EVERYTHING) -> float:
    """Return how long the first page takes, median of a few."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        report.errors(database, group_by, wanted)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def _step_ms(database: Database) -> float:
    """Return how long the learner's write of one step takes now that the month is stored."""
    step = next(iter(month(200, sessions=1)))
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        with database.write() as connection:
            rollups.add(connection, step)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def _fleet(database: Database) -> None:
    with database.write() as connection:
        for number in range(1, DEVICES + 1):
            connection.execute(
                insert(device).values(
                    id=number,
                    device_id=f"device-{number}",
                    model="",
                    soc=f"SoC {number % SOCS}",
                    os="",
                    drivers="{}",
                    first_seen_at_us=0,
                    last_seen_at_us=0,
                    run_count=0,
                    timing_count=0,
                    quarantined=False,
                )
            )
            for place, name in enumerate(("cpu", "gpu")):
                connection.execute(
                    insert(processor).values(
                        id=2 * number - place,
                        device=number,
                        name=name,
                        kind=name,
                        resources="[]",
                        unsupported="[]",
                    )
                )
        connection.execute(
            insert(model), [{"id": n, "name": f"model-{n}", "digest": ""} for n in range(1, MODELS + 1)]
        )


def month(runs: int, sessions: int = DEVICES * SESSIONS_A_DEVICE) -> Iterator[Cells]:
    """Yield what the learner books of a month, day by day: devices measure in sessions of an hour."""
    order = random.Random(0)
    starts = sorted((FIRST_HOUR + order.randrange(24 * DAYS), 1 + n % DEVICES) for n in range(sessions))
    rng = np.random.default_rng(0)
    for _, day in groupby(enumerate(starts), key=lambda item: item[1][0] // 24):
        cells: dict[CellKey, Cell] = {}
        for number, (hour, device_id) in day:
            cells |= _session(rng, f"v{number}", hour, device_id, runs // sessions)
        yield cells


def _session(rng: np.random.Generator, predictor: str, hour: int, device_id: int, runs: int) -> Cells:
    """Return runs of six networks in two conditions on both processors of a device."""
    cells: dict[CellKey, Cell] = defaultdict(Cell)
    places = [
        (2 * device_id - place, f"s{condition}", 1 + int(named))
        for place in range(2)
        for condition in rng.choice(CONDITIONS, 2, replace=False)
        for named in rng.choice(MODELS, 6, replace=False)
    ]
    each = max(runs // len(places), 1)
    for processor_id, condition, model_id in places:
        for rung in RUNGS:
            key = CellKey(hour, processor_id, condition, model_id, "", rung, "run", predictor)
            _count(cells[key], rng, each)
            for op_type in range(OP_TYPES):
                own = key._replace(op_type=f"Op{op_type}", level="operator", predictor="")
                _count(cells[own], rng, each)
    return cells


def _count(cell: Cell, rng: np.random.Generator, count: int) -> None:
    errors = rng.lognormal(-2.0, 1.0, count)
    cell.add(errors, dict.fromkeys(TERMS[1:], float(errors.sum())))
