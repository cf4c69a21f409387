"""The learner beside a server: it learns what arrives, and ends with the server however that ends."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.client import Client
from tests import phone
from tests.load import ServerProcess, start_server
from tests.processes import LIMIT_S, descendants, is_running, wait_until

LEARNED_ALL = "SELECT (SELECT max(run_id) FROM learner_cursor) = (SELECT max(id) FROM run)"
"""Asked of the file: reports would keep the server busier than the learner."""


@pytest.fixture
def running(sqlite_url: str, tmp_path: Path) -> ServerProcess:
    """A server with its learner, which a phone has sent a session to."""
    started = start_server(sqlite_url, learner=True)
    with Client(f"http://127.0.0.1:{started.port}") as client:
        for batch in phone.session(calm_runs=90, loaded_runs=30):
            client.upload(phone.encoded(batch), encoding=None)
        with closing(sqlite3.connect(tmp_path / "socast.db")) as connection:
            wait_until(lambda: connection.execute(LEARNED_ALL).fetchone()[0], "everything is learned")
        assert not client.report("errors")["pending_runs"]
        assert client.predictors()["items"]
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_learner_ends_with_the_server(
    running: ServerProcess, number: signal.Signals, tmp_path: Path
) -> None:
    children = descendants(running.process.pid)
    assert children
    running.process.send_signal(number)
    running.process.wait(LIMIT_S)
    assert running.process.returncode == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, children)), "the learner has ended")
    with sqlite3.connect(tmp_path / "socast.db", timeout=0) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
