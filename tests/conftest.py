"""Databases and a running application for every test that asks: SQLite and a real PostgreSQL alike."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.main import create_app
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database
from app.store.tables import metadata
from tests.postgres import fresh_database, server_url, stop_server
from tests.snapshots import Snapshots

DIRECTORY = "SOCAST_TEST_POSTGRES_DIRECTORY"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

AppFactory = Callable[..., TestClient]

# How long an example takes is a matter of the machine: no test may fail because others use it too.
hypothesis.settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make chaos` ask for more."""
    parser.addoption("--rounds", type=int, default=2, help="how often tests/chaos kills the server")


def pytest_configure() -> None:
    """Choose where PostgreSQL keeps its data; workers inherit the choice of the process that starts them."""
    # Not below pytest's own directory, which root alone may enter: the server runs as another user.
    if WORKER == "main":
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="socast-postgres-")
        # Every server is on this machine, whatever stands between it and others.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def pytest_unconfigure() -> None:
    """Stop PostgreSQL when the last worker is done."""
    if WORKER == "main":
        stop_server(Path(os.environ.pop(DIRECTORY)))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of the one PostgreSQL server that all workers share; nobody pulls the plug, so it need not sync."""
    url = server_url(Path(os.environ[DIRECTORY]))
    if not os.environ.get("SOCAST_TEST_POSTGRES_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
    return url


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """URL of this worker's database, migrated; its content is cleared after each test."""
    url = fresh_database(postgres_server, f"socast_{WORKER}")
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.dispose()
    return path


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    """Contents of databases that tests of this worker share."""
    return Snapshots(tmp_path_factory.mktemp("snapshots"))


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """URL of a migrated SQLite file of the test's own."""
    path = tmp_path / "socast.db"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(migrated_postgres: str) -> Iterator[str]:
    """URL of a migrated PostgreSQL database that is emptied afterwards."""
    yield migrated_postgres
    database = Database(migrated_postgres)
    with database.write() as connection:
        connection.execute(text(f"TRUNCATE {','.join(metadata.tables)} RESTART IDENTITY CASCADE"))
    database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty migrated database, once SQLite and once PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty migrated database, once SQLite and once PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def serve(database_url: str) -> Iterator[AppFactory]:
    """Start the application on the test's database; keyword arguments are settings."""
    clients: list[TestClient] = []

    def start(**settings: object) -> TestClient:
        options = {"database": database_url, "open": True, "no_learner": True, **settings}
        client = TestClient(create_app(Settings.model_validate(options)), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: AppFactory) -> TestClient:
    """The open application on an empty database."""
    return serve()
