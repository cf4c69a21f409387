"""Keys, roles, devices and rates."""

import logging

import pytest
from fastapi.testclient import TestClient

from app.errors import InvalidRequestError
from app.services import keys
from app.services.keys import KeyRing, Role
from app.store import keys as stored_keys
from app.store.engine import Database
from tests.batches import batch
from tests.conftest import AppFactory

URL = "/v1/measurements"


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


@pytest.fixture
def guarded(serve: AppFactory) -> TestClient:
    return serve(open=False)


def test_no_key_and_wrong_keys(guarded: TestClient, database: Database) -> None:
    key = keys.create(database, Role.AGENT)
    refused = guarded.post(URL, json=batch())
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for wrong in ("nonsense", key.text[:-1] + "!", key.text[:-2] + "xx", key.text.replace("_1_", "_2_"), ""):
        assert guarded.post(URL, json=batch(), headers=bearer(wrong)).status_code == 401
    assert guarded.post(URL, json=batch(), headers={"authorization": f"Basic {key.text}"}).status_code == 401
    assert guarded.post(URL, json=batch(), headers=bearer(key.text)).status_code == 200


@pytest.mark.parametrize("role", list(Role))
def test_roles(guarded: TestClient, database: Database, role: Role) -> None:
    key = keys.create(database, role)
    answer = guarded.post(URL, json=batch(), headers=bearer(key.text))
    assert answer.status_code == (200 if role in (Role.AGENT, Role.ADMIN) else 403)
    if answer.status_code == 403:
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_bound_key_speaks_for_its_device_only(guarded: TestClient, database: Database) -> None:
    key = keys.create(database, Role.AGENT, "mi9-0042")
    assert guarded.post(URL, json=batch(), headers=bearer(key.text)).status_code == 200
    answer = guarded.post(URL, json=batch(device={"device_id": "another"}), headers=bearer(key.text))
    assert answer.status_code == 403
    with pytest.raises(InvalidRequestError):
        keys.create(database, Role.ANALYST, "mi9-0042")


def test_a_revoked_key(guarded: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "REMEMBERED_S", 0.0)
    key = keys.create(database, Role.AGENT)
    assert guarded.post(URL, json=batch(), headers=bearer(key.text)).status_code == 200
    with database.write() as connection:
        stored_keys.revoke(connection, key.id)
    assert guarded.post(URL, json=batch(), headers=bearer(key.text)).status_code == 401


def test_each_key_has_its_own_rate(serve: AppFactory, database: Database) -> None:
    client = serve(open=False, rate_limit="3/day")
    greedy, modest = keys.create(database, Role.AGENT), keys.create(database, Role.AGENT)
    statuses = [client.post(URL, json=batch(), headers=bearer(greedy.text)).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = client.post(URL, json=batch(), headers=bearer(greedy.text))
    assert int(refused.headers["retry-after"]) >= 1
    assert client.post(URL, json=batch(), headers=bearer(modest.text)).status_code == 200


def test_secrets_are_neither_stored_nor_logged(
    guarded: TestClient,
    database: Database,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    key = keys.create(database, Role.AGENT)
    secret = key.text.rsplit("_", 1)[1]
    guarded.post(URL, json=batch(), headers=bearer(key.text))
    guarded.post(URL, json=batch(), headers=bearer(key.text + "x"))
    captured = capfd.readouterr()
    assert secret not in captured.out + captured.err + caplog.text
    with database.read() as connection:
        (row,) = stored_keys.list_keys(connection)
    assert secret.encode() not in row.secret_sha256
    assert KeyRing(database).authenticate(key.text).key_id == key.id


def test_health_and_metrics_need_no_key(guarded: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert guarded.get(path).status_code == 200
