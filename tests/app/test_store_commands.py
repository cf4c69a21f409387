"""`socast db` and `socast key`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import build
from app.errors import SocastError
from app.services.keys import KeyRing, Role
from app.settings import Settings, WrongSettingError
from app.store import migrate
from app.store.engine import Database
from tests.batches import batch
from tests.conftest import AppFactory


@pytest.fixture
def socast(database_url: str, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    monkeypatch.setenv("SOCAST_DATABASE", database_url)
    return lambda *arguments: CliRunner().invoke(build(), arguments)


def refused(result: Result) -> str:
    assert result.exit_code != 0
    assert isinstance(result.exception, SocastError)
    return str(result.exception)


def test_upgrade_and_check(tmp_path: Path) -> None:
    url = f"--database=sqlite:///{tmp_path / 'new.db'}"
    runner = CliRunner()
    assert "socast db upgrade" in refused(runner.invoke(build(), ["db", "check", url]))
    assert runner.invoke(build(), ["db", "upgrade", url]).output == f"empty -> {migrate.head()}\n"
    assert "content whole" in runner.invoke(build(), ["db", "check", url]).output


def test_prune(socast, serve: AppFactory) -> None:  # noqa: ANN001
    serve().post("/v1/measurements", json=batch())
    assert socast("db", "prune", "--older-than", "90d").output == "dropped 0 runs, 0 timings, 0 transfers\n"
    wrong = socast("db", "prune", "--older-than", "soon")
    assert wrong.exit_code == 2


def test_keys_come_and_go(socast, database: Database) -> None:  # noqa: ANN001
    made = socast("key", "create", "--role", "agent", "--device", "mi9")
    principal = KeyRing(database).authenticate(made.output.strip())
    assert (principal.role, principal.device_id) == (Role.AGENT, "mi9")
    listed = socast("key", "list").output
    assert listed.split("\t")[:3] == ["1", "agent", "mi9"]
    assert made.output.strip().rsplit("_", 1)[1] not in listed
    assert socast("key", "revoke", "1").exit_code == 0
    assert "revoked" in socast("key", "list").output
    with pytest.raises(SocastError):
        KeyRing(database).authenticate(made.output.strip())
    assert "no key 1" in refused(socast("key", "revoke", "1"))
    assert socast("key", "create", "--role", "king").exit_code == 2
    assert "only" in refused(socast("key", "create", "--role", "admin", "--device", "x")).lower()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCAST_MAX_BODY_BYTES", "large")
    with pytest.raises(WrongSettingError, match="SOCAST_MAX_BODY_BYTES"):
        Settings.load()
