"""Ingest end to end over HTTP, held against what the databases themselves can do in the same run."""

import os
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import psycopg
import zstandard
from sqlalchemy import text

from app.store.bulk import TIMING_COLUMNS, TimingColumns
from app.store.bulk_postgres import encode_rows
from app.store.engine import Database
from tests.bench.row import Row, at_least, at_most
from tests.load import OPERATORS, RUNS, Sent, saturate, server
from tests.postgres import fresh_database, server_url, stop_server

SECONDS = float(os.environ.get("SOCAST_BENCH_SECONDS", "10"))
TIMINGS = RUNS * OPERATORS
GROUP_RUNS = 8 * RUNS
"""Runs in one transaction of the raw ceilings: as many as 8 connections can have waiting."""


def run() -> list[Row]:
    """Measure both databases."""
    with tempfile.TemporaryDirectory(prefix="socast-bench-") as directory:
        rows = _sqlite(Path(directory))
    postgres = Path(tempfile.mkdtemp(prefix="socast-postgres-"))
    try:
        return rows + _postgres(server_url(postgres))
    finally:
        stop_server(postgres)


def _sqlite(directory: Path) -> list[Row]:
    path = directory / "bench.db"
    raw = _raw_sqlite(directory / "raw.db")
    sent, memory = _end_to_end(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rate = sent.accepted * TIMINGS / sent.seconds
    return [
        Row("sqlite: raw executemany", raw, "timings/s"),
        at_least("sqlite: end to end", rate, "timings/s", 400_000),
        at_least("sqlite: end to end / raw", rate / raw, "ratio", 0.45),
        *_latencies("sqlite", sent),
        at_most(
            "sqlite: at rest, all indexes",
            path.stat().st_size / (sent.accepted * TIMINGS),
            "bytes/timing",
            40,
        ),
        Row("sqlite: server memory, peak", memory / 2**20, "MiB"),
        Row("wire: JSON", sent.wire_bytes / len(sent.latencies_s) / TIMINGS, "bytes/timing"),
        *_compressed(directory),
    ]


def _compressed(directory: Path) -> list[Row]:
    """Agents in the field compress: fewer bytes on the wire, more work here."""
    encode = zstandard.ZstdCompressor(level=1).compress
    with server(f"sqlite:///{directory / 'zstd.db'}") as started:
        sent = saturate(
            started.port, seconds=SECONDS / 2, headers="Content-Encoding: zstd\r\n", encode=encode
        )
    return [
        Row("sqlite: end to end, zstd bodies", sent.accepted * TIMINGS / sent.seconds, "timings/s"),
        Row("wire: zstd", sent.wire_bytes / len(sent.latencies_s) / TIMINGS, "bytes/timing"),
    ]


def _postgres(postgres: str) -> list[Row]:
    raw_small = _raw_copy(fresh_database(postgres, "socast_raw"), RUNS)
    raw = _raw_copy(fresh_database(postgres, "socast_raw"), GROUP_RUNS)
    url = fresh_database(postgres, "socast_bench")
    database = Database(url)
    _upgrade(database)
    sent, memory = _end_to_end(url)
    with database.read() as connection:
        size = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
    database.dispose()
    rate = sent.accepted * TIMINGS / sent.seconds
    return [
        Row(f"postgresql: raw COPY, {TIMINGS} rows a transaction", raw_small, "timings/s"),
        Row(f"postgresql: raw COPY, {GROUP_RUNS * OPERATORS} rows a transaction", raw, "timings/s"),
        Row("postgresql: end to end", rate, "timings/s"),
        at_least("postgresql: end to end / raw COPY (larger)", rate / raw, "ratio", 0.5),
        *_latencies("postgresql", sent),
        Row("postgresql: at rest, all indexes", size / (sent.accepted * TIMINGS), "bytes/timing"),
        Row("postgresql: server memory, peak", memory / 2**20, "MiB"),
    ]


def _upgrade(database: Database) -> None:
    from app.store import migrate

    migrate.upgrade(database)


def _end_to_end(url: str) -> tuple[Sent, int]:
    """Return what 8 saturating connections achieved, and the server's peak resident memory in bytes."""
    with server(url) as started:
        saturate(started.port, seconds=1)
        sent = saturate(started.port, seconds=SECONDS)
        memory = _peak_memory(started.process.pid)
    assert sent.statuses == {200: len(sent.latencies_s)}, sent.statuses
    return sent, memory


def _peak_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)


def _latencies(name: str, sent: Sent) -> list[Row]:
    p50, p99 = np.percentile(sent.latencies_s, [50, 99])
    return [
        Row(f"{name}: acknowledgement p50", float(p50) * 1000, "ms"),
        Row(f"{name}: acknowledgement p99", float(p99) * 1000, "ms"),
    ]


def _timings(first_run_id: int, runs: int) -> TimingColumns:
    rng = np.random.default_rng(0)
    count = runs * OPERATORS
    latency_ns = (rng.lognormal(5, 1.5, count) * 1000).astype(np.int64)
    return TimingColumns(first_run_id, [OPERATORS] * runs, rng.integers(1, 500, count), latency_ns)


def _raw_sqlite(path: Path) -> float:
    """Return timings/s of the driver's own bulk insert into the same table, durable as the server is."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE timing (run_id BIGINT, position INTEGER, operator_id INTEGER, latency_ns BIGINT,"
        " ran_on SMALLINT, PRIMARY KEY (run_id, position)) WITHOUT ROWID"
    )
    columns = _timings(1_800_000_000_000_000, GROUP_RUNS)
    run_id, position = columns.run_and_position()
    stored, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS / 2:
        values = (run_id + stored, position, columns.operator_id, columns.latency_ns)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO timing (run_id, position, operator_id, latency_ns) VALUES (?, ?, ?, ?)",
            zip(*(column.tolist() for column in values), strict=True),
        )
        connection.execute("COMMIT")
        stored += GROUP_RUNS
    connection.close()
    return stored * OPERATORS / (time.perf_counter() - began)


def _raw_copy(url: str, runs: int) -> float:
    """Return timings/s of binary COPY of the same rows into a bare table without any index."""
    columns = _timings(1_800_000_000_000_000, runs)
    run_id, position = columns.run_and_position()
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE timing (run_id BIGINT, position INTEGER, operator_id INTEGER, latency_ns BIGINT,"
            " ran_on SMALLINT)"
        )
        connection.commit()
        stored, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS / 2:
            data = encode_rows(
                TIMING_COLUMNS, (run_id + stored, position, columns.operator_id, columns.latency_ns)
            )
            with connection.cursor().copy(
                f"COPY timing ({','.join(TIMING_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.write(data)
            connection.commit()
            stored += runs
        return stored * OPERATORS / (time.perf_counter() - began)
