"""A database that was learned from, once for all tests of what is told of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.store.engine import Database
from tests import phone
from tests.app.test_learning import learn_all, send

NEW = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="session")
def learned_database(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a phone's session, and one run of a network with an operator never met before."""
    path = tmp_path_factory.mktemp("learned") / "socast.db"
    shutil.copy(migrated_sqlite, path)
    stranger = phone.session(calm_runs=0, loaded_runs=1)[0]
    unknown = phone.operators("small")
    stranger["operators"] = [unknown[0] | {"op_type": "Mystery"}, unknown[1]]
    stranger["runs"][0] |= {
        "run_id": NEW,
        "model": {"name": "new", "digest": phone.digest("new")},
        "started_at": "2026-11-21T08:00:00Z",
        "operators": [0, 1],
        "latency_us": [50.0, 60.0],
        "total_us": 130.0,
    }
    settings = Settings.model_validate({"database": f"sqlite:///{path}", "open": True, "no_learner": True})
    with TestClient(create_app(settings)) as client:
        send(client, [*phone.session(calm_runs=90, loaded_runs=60), stranger])
    database = Database(f"sqlite:///{path}")
    learn_all(database)
    database.dispose()
    return path


@pytest.fixture
def reported(learned_database: Path, tmp_path: Path) -> Iterator[TestClient]:
    """The application on a copy of that database."""
    shutil.copy(learned_database, tmp_path / "socast.db")
    settings = Settings.model_validate(
        {"database": f"sqlite:///{tmp_path / 'socast.db'}", "open": True, "no_learner": True}
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client
