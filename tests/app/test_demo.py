"""The demo for real: server, learner, agent and load on this machine, to its end and interrupted."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil

from tests.processes import wait_until


def start(folder: Path, seconds: int) -> subprocess.Popen[str]:
    arguments = ["demo", "--once", "--seconds", str(seconds), "--folder", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"COLUMNS": "200", "PATH": "", "HOME": str(folder.parent)},
    )


def left_over(folder: Path) -> list[psutil.Process]:
    """Return processes that still run on behalf of a demo."""
    return [
        process
        for process in psutil.process_iter()
        if process.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(_command(process))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_demo_ends_with_plans_and_the_error_table(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder, seconds=20)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    assert "Partition plans, best first" in output
    assert "Prediction error by rung (run level, MAPE)" in output
    assert any(f"│ s{number} " in output for number in range(5)), output
    assert left_over(folder) == []


def test_an_interrupted_demo_leaves_no_process_and_no_locked_database(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder, seconds=60)
    database = folder / "socast.db"
    wait_until(lambda: _count_runs(database) > 0, "the first run is stored", limit_s=60.0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert left_over(folder) == []
    with sqlite3.connect(database, timeout=0) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _count_runs(database: Path) -> int:
    if not database.exists():
        return 0
    with sqlite3.connect(database) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
