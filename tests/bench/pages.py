"""Server time of every page, and its weight on first load, with a million runs of a month stored."""

import re
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from app.store.rollup_views import HOUR_US
from tests.bench.row import Row
from tests.load import server
from tests.web import site

RUNS = 1_000_000
HOURS = 30 * 24
FINE_HOURS = 2 * 24
DEVICES = 200
REPEATS = 9
SERVER_MS, FIRST_LOAD_BYTES = 300.0, 1.5e6


def run() -> list[Row]:
    """Return the median server time of each page and the heaviest first load."""
    with tempfile.TemporaryDirectory(prefix="socast-pages-") as folder:
        path = Path(folder) / "socast.db"
        site.fill(f"sqlite:///{path}")
        fill_month(path)
        with server(f"sqlite:///{path}") as running, httpx.Client(timeout=60) as client:
            client.headers["accept"] = "text/html"
            client.base_url = f"http://127.0.0.1:{running.port}"
            return measure(client)


def measure(client: httpx.Client) -> list[Row]:
    """Ask for each page in turn, again and again; what a page links is loaded once."""
    found = re.search(r'href="/plans\?model=([^"&]+)"', client.get("/models").text)
    assert found is not None
    model = found[1]
    pages = {
        "overview": "/",
        "errors": "/errors",
        "errors of a device": f"/errors?device={site.SAMPLE_DEVICE}",
        "plans": f"/plans?model={model}&device={site.SAMPLE_DEVICE}",
        "predictors": "/predictors",
        "devices": "/devices",
        "a device": f"/devices/{site.SAMPLE_DEVICE}",
        "models": "/models",
        "a model": f"/models/{model}",
    }
    taken_ms: dict[str, list[float]] = {name: [] for name in pages}
    sizes = {name: first_load_bytes(client, path) for name, path in pages.items()}
    for _ in range(REPEATS):
        for name, path in pages.items():
            started = time.perf_counter()
            client.get(path).raise_for_status()
            taken_ms[name].append((time.perf_counter() - started) * 1e3)
    rows = [
        Row(f"{name}, median of {REPEATS}", value, "ms", "< 300", met=value < SERVER_MS)
        for name, times in taken_ms.items()
        for value in [statistics.median(times)]
    ]
    heaviest = max(sizes.values())
    return [*rows, Row("heaviest first load", heaviest / 1e6, "MB", "< 1.5", met=heaviest < FIRST_LOAD_BYTES)]


def first_load_bytes(client: httpx.Client, path: str) -> int:
    """Return the bytes of a page and of everything that it links from here, as sent."""
    text = client.get(path).raise_for_status().text
    linked = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text)) | {path}
    received = 0
    for part in linked:
        with client.stream("GET", part, headers={"accept-encoding": "zstd, gzip"}) as answer:
            received += sum(len(chunk) for chunk in answer.iter_raw())
    return received


def fill_month(path: Path) -> None:
    """Copy what is stored until it is a month of a million runs: runs, rollups of each period, devices."""
    connection = sqlite3.connect(path)
    with connection:
        (stored,) = connection.execute("SELECT count(*) FROM run").fetchone()
        names = [row[1] for row in connection.execute("PRAGMA table_info(run)")]
        fixed = {"id": "id - :shift * 1000", "started_at_us": "started_at_us - :shift * :step"}
        columns = ", ".join(
            fixed.get(name, "randomblob(16)" if name == "run_uuid" else name) for name in names
        )
        copies = RUNS // stored
        for shift in range(1, copies):
            connection.execute(
                f"INSERT INTO run SELECT {columns} FROM (SELECT * FROM run ORDER BY id DESC LIMIT :stored)",
                {"shift": shift, "step": HOURS * HOUR_US // copies, "stored": stored},
            )
        _copy_rollups(connection)
        connection.execute(
            "UPDATE device SET run_count = :runs WHERE run_count > 0", {"runs": stored * copies}
        )
        connection.executemany(
            "INSERT INTO device (device_id, model, soc, os, drivers, first_seen_at_us, last_seen_at_us,"
            " run_count, timing_count, quarantined) SELECT ?, model, soc, os, drivers, first_seen_at_us, 0,"
            " 0, 0, 0 FROM device WHERE run_count > 0 LIMIT 1",
            [(f"device-{number:04}",) for number in range(DEVICES)],
        )
    connection.execute("ANALYZE")
    connection.close()


def _copy_rollups(connection: sqlite3.Connection) -> None:
    """Repeat the rollups of the hours and days of a month; those of the month itself are there."""
    rest = "processor_id, condition, model_id, op_type, predictor, n, sums, sketches"
    connection.execute("CREATE TEMP TABLE seen AS SELECT * FROM error_rollup WHERE grain != 'month'")
    for grain, hours, step in (("hour", HOURS, 1), ("day", HOURS, 24)):
        for shift in range(step, hours, step):
            fine = "" if shift < FINE_HOURS else " AND view NOT IN ('pcmo', 'pcmv')"
            connection.execute(
                f"INSERT OR IGNORE INTO error_rollup SELECT level, grain, view, period - ?, {rest} FROM seen"
                f" WHERE grain = ?{fine}",
                (shift, grain),
            )
