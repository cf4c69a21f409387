"""The demo for real: server, learner, agent and load on this machine, to its end and interrupted."""

import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app import demo
from collectors.client import Client
from tests.processes import LIMIT_S, is_running, wait_until


def start(folder: Path, seconds: int) -> subprocess.Popen[str]:
    arguments = ["demo", "--once", "--seconds", str(seconds), "--folder", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"COLUMNS": "200", "PATH": "", "HOME": str(folder.parent)},
    )


def test_a_taken_port_is_left_to_whom_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PREFERRED_PORT", port)
        monkeypatch.setenv("SOCAST_NO_LEARNER", "true")  # nothing is learned here
        with demo._service(tmp_path) as address, Client(address) as client:
            assert not address.endswith(f":{port}")
            assert client.is_ready()


def left_over(folder: Path) -> list[psutil.Process]:
    """Return processes that still run on behalf of a demo."""
    return [
        process
        for process in psutil.process_iter()
        if str(folder) in " ".join(_command(process)) and is_running(process.pid)
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_demo_ends_with_plans_and_the_error_table(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    scored = False
    for seconds in (20, 60, 180):  # a busy machine does nothing but calibrate in the shortest time
        process = start(folder, seconds)
        output, _ = process.communicate(timeout=seconds + LIMIT_S)
        assert process.returncode == 0, output
        assert "Partition plans, best first" in output
        assert "Prediction error by rung (run level, MAPE)" in output
        wait_until(lambda: left_over(folder) == [], "nothing runs on behalf of the demo")
        scored = any(f"│ s{number} " in output for number in range(5))
        if scored:
            break
    assert scored, output


def test_an_interrupted_demo_leaves_no_process_and_no_locked_database(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start(folder, seconds=600)
    database = folder / "socast.db"
    wait_until(lambda: _count_runs(database) > 0, "the first run is stored")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    wait_until(lambda: left_over(folder) == [], "nothing runs on behalf of the demo")
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
