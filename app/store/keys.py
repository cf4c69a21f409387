"""API keys at rest: only the hash of the secret is stored."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from app.errors import NotFoundError
from app.store.tables import api_key


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key without its secret."""

    id: int
    role: str
    device_id: str | None
    secret_sha256: bytes
    created_at_us: int
    revoked_at_us: int | None


def add(connection: Connection, role: str, device_id: str | None, secret_sha256: bytes) -> int:
    """Store a key and return its id."""
    result = connection.execute(
        insert(api_key).values(
            role=role, device_id=device_id, secret_sha256=secret_sha256, created_at_us=time.time_ns() // 1000
        )
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def get(connection: Connection, key_id: int) -> KeyRow | None:
    """Return a key, revoked or not."""
    row = connection.execute(select(api_key).where(api_key.c.id == key_id)).first()
    return None if row is None else KeyRow(**row._mapping)


def list_keys(connection: Connection) -> list[KeyRow]:
    """Return all keys, oldest first."""
    return [KeyRow(**row._mapping) for row in connection.execute(select(api_key).order_by(api_key.c.id))]


def revoke(connection: Connection, key_id: int) -> None:
    """Make a key useless from now on; raise `NotFoundError` when there is none."""
    found = connection.execute(
        update(api_key)
        .where(api_key.c.id == key_id, api_key.c.revoked_at_us.is_(None))
        .values(revoked_at_us=time.time_ns() // 1000)
    )
    if found.rowcount == 0:
        raise NotFoundError(f"There is no key {key_id} in use.")
