"""Ingest end to end over HTTP, held against what the databases themselves can do in the same run.

Both are measured in turns, slice by slice, so that a machine that is busy for a while slows both alike; the
ratio is the median over the slices.
"""

import os
import re
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
import zstandard
from sqlalchemy import text

from app.store import migrate
from app.store.bulk import TIMING_COLUMNS, TimingColumns
from app.store.bulk_postgres import encode_rows
from app.store.engine import Database
from tests.bench.row import Row, at_least, at_most
from tests.load import OPERATORS, RUNS, Sent, ServerProcess, saturate, server
from tests.postgres import fresh_database, server_url, stop_server

SECONDS = float(os.environ.get("SOCAST_BENCH_SECONDS", "10"))
SLICES = 5
TIMINGS = RUNS * OPERATORS

Slice = Callable[[float], float]
"""Insert for so many seconds; return timings/s."""


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
    path = directory / "socast.db"
    with server(f"sqlite:///{path}") as started, _RawSqlite(directory / "raw.db") as raw:
        load = _Load(started)
        ratio = _ratio(load, raw)
        memory_bytes, sent = load.memory_bytes(), load.sent
        raw_rate = raw(SECONDS / SLICES)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (timings,) = connection.execute("SELECT count(*) FROM timing").fetchone()
    return [
        Row("sqlite: raw executemany", raw_rate, "timings/s"),
        at_least("sqlite: end to end", load.rate(), "timings/s", 400_000),
        at_least("sqlite: end to end / raw", ratio, "ratio", 0.45),
        *_latencies("sqlite", sent),
        at_most("sqlite: at rest, all indexes", path.stat().st_size / timings, "bytes/timing", 40),
        Row("sqlite: server memory, peak", memory_bytes / 2**20, "MiB"),
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
    database = Database(fresh_database(postgres, "socast_bench"))
    migrate.upgrade(database)
    with server(database.url.render_as_string(hide_password=False)) as started:
        load = _Load(started)
        group_runs = round(load.batches_per_transaction() * RUNS)
        raw = _RawCopy(fresh_database(postgres, "socast_raw"), group_runs)
        ratio = _ratio(load, raw)
        memory_bytes, sent = load.memory_bytes(), load.sent
    larger = _RawCopy(fresh_database(postgres, "socast_raw"), 80 * RUNS)(SECONDS / SLICES)
    with database.read() as connection:
        size_bytes = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
        timings = connection.scalar(text("SELECT sum(timing_count) FROM device")) or 1
    database.dispose()
    return [
        Row("postgresql: raw COPY, as many rows a transaction as the server", raw.rate(), "timings/s"),
        Row("postgresql: raw COPY, 96,000 rows a transaction", larger, "timings/s"),
        Row("postgresql: end to end", load.rate(), "timings/s"),
        at_least("postgresql: end to end / raw, as many rows a transaction", ratio, "ratio", 0.5),
        *_latencies("postgresql", sent),
        Row("postgresql: at rest, all indexes", size_bytes / int(timings), "bytes/timing"),
        Row("postgresql: server memory, peak", memory_bytes / 2**20, "MiB"),
    ]


def _ratio(load: Slice, raw: Slice) -> float:
    """Return what share of the raw rate the load reaches, measured in turns."""
    return statistics.median(load(SECONDS / SLICES) / raw(SECONDS / SLICES / 2) for _ in range(SLICES))


class _Load:
    """A server under 8 saturating connections, warmed up."""

    def __init__(self, started: ServerProcess) -> None:
        self._server = started
        self.sent = Sent()
        saturate(started.port, seconds=1)

    def __call__(self, seconds: float) -> float:
        """Saturate for a while; return timings/s."""
        sent = saturate(self._server.port, seconds=seconds)
        assert sent.statuses == {200: len(sent.latencies_s)}, sent.statuses
        self.sent.add(sent)
        return sent.accepted * TIMINGS / sent.seconds

    def rate(self) -> float:
        """Return timings/s over all slices."""
        return self.sent.accepted * TIMINGS / self.sent.seconds

    def memory_bytes(self) -> int:
        """Return the server's peak resident memory."""
        status = Path(f"/proc/{self._server.process.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
        assert found
        return int(found[1]) * 1024

    def batches_per_transaction(self) -> float:
        """Return how many requests share a transaction."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._server.port}/metrics") as answer:
            metrics = answer.read().decode()
        total, count = (
            float(re.search(rf"^socast_ingest_group_batches_{part} (\S+)$", metrics, re.M)[1])  # type: ignore[index]
            for part in ("sum", "count")
        )
        return total / count


def _latencies(name: str, sent: Sent) -> list[Row]:
    p50, p99 = np.percentile(sent.latencies_s, [50, 99])
    return [
        Row(f"{name}: acknowledgement p50", float(p50) * 1000, "ms"),
        Row(f"{name}: acknowledgement p99", float(p99) * 1000, "ms"),
    ]


def _timings(runs: int) -> TimingColumns:
    rng = np.random.default_rng(0)
    count = runs * OPERATORS
    latency_ns = (rng.lognormal(5, 1.5, count) * 1000).astype(np.int64)
    return TimingColumns(1_800_000_000_000_000, [OPERATORS] * runs, rng.integers(1, 500, count), latency_ns)


class _RawSqlite:
    """The driver's own bulk insert into the same table, durable as the server's, 9,600 rows a transaction."""

    RUNS = 8 * RUNS

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE timing (run_id BIGINT, position INTEGER, operator_id INTEGER, latency_ns BIGINT,"
            " ran_on INTEGER, PRIMARY KEY (run_id, position)) WITHOUT ROWID"
        )
        self._columns = _timings(self.RUNS)
        self._stored = 0

    def __enter__(self) -> "_RawSqlite":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(self, seconds: float) -> float:
        """Insert for a while; return timings/s."""
        columns, before, began = self._columns, self._stored, time.perf_counter()
        run_id, position = columns.run_and_position()
        while time.perf_counter() - began < seconds:
            values = (run_id + self._stored, position, columns.operator_id, columns.latency_ns)
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                f"INSERT INTO timing ({','.join(TIMING_COLUMNS)}) VALUES (?, ?, ?, ?)",
                zip(*(column.tolist() for column in values), strict=True),
            )
            self._connection.execute("COMMIT")
            self._stored += self.RUNS
        return (self._stored - before) * OPERATORS / (time.perf_counter() - began)


class _RawCopy:
    """Binary COPY of the same rows, from ready number columns, into a bare table without any index."""

    def __init__(self, url: str, runs: int) -> None:
        self._connection = psycopg.connect(url)
        self._connection.execute(
            "CREATE TABLE timing (run_id BIGINT, position INTEGER, operator_id INTEGER, latency_ns BIGINT,"
            " ran_on INTEGER)"
        )
        self._connection.commit()
        self._runs = runs
        self._columns = _timings(runs)
        self._rates: list[float] = []
        self._stored = 0

    def rate(self) -> float:
        """Return the median of the slices."""
        return statistics.median(self._rates)

    def __call__(self, seconds: float) -> float:
        """Copy for a while; return timings/s."""
        columns, before, began = self._columns, self._stored, time.perf_counter()
        run_id, position = columns.run_and_position()
        statement = f"COPY timing ({','.join(TIMING_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
        while time.perf_counter() - began < seconds:
            values = (run_id + self._stored, position, columns.operator_id, columns.latency_ns)
            with self._connection.cursor().copy(statement) as copy:
                copy.write(encode_rows(TIMING_COLUMNS, values))
            self._connection.commit()
            self._stored += self._runs
        self._rates.append((self._stored - before) * OPERATORS / (time.perf_counter() - began))
        return self._rates[-1]
