"""API keys: who may do what, and whose device speaks."""

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

from app.errors import ForbiddenError, InvalidRequestError, UnauthorizedError
from app.store import keys
from app.store.engine import Database

REMEMBERED_S = 5.0
"""How long a key that was looked up is trusted; a revoked one works that much longer at most."""

MAX_REMEMBERED = 10_000
MAX_KEY_ID = 2**31 - 1


class Role(StrEnum):
    """What a key is for; `admin` may do everything."""

    AGENT = "agent"
    SCHEDULER = "scheduler"
    ANALYST = "analyst"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request; `key_id` is None on an open server, `device_id` when bound to no device."""

    key_id: int | None
    role: Role
    device_id: str | None = None

    def check_role(self, allowed: frozenset[Role]) -> None:
        """Raise `ForbiddenError` unless this role, or admin, is enough."""
        if self.role is not Role.ADMIN and self.role not in allowed:
            names = " or ".join(sorted(allowed)) or "admin"
            raise ForbiddenError(f"This needs a key of role {names}; yours is {self.role}.")

    def check_device(self, device_id: str) -> None:
        """Raise `ForbiddenError` when bound to another device."""
        if self.device_id is not None and self.device_id != device_id:
            raise ForbiddenError(f"This key speaks for device `{self.device_id}` only.")


ANYBODY = Principal(None, Role.ADMIN)
"""Who makes requests to an open server."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `text` is shown once and cannot be recovered."""

    id: int
    text: str


def create(database: Database, role: Role, device_id: str | None = None) -> NewKey:
    """Make a key; only an agent's may be bound to a device."""
    if device_id is not None and role is not Role.AGENT:
        raise InvalidRequestError("Only a key of role agent can be bound to a device.")
    secret = secrets.token_urlsafe(32)
    with database.write() as connection:
        key_id = keys.add(connection, role, device_id, _sha256(secret))
    return NewKey(key_id, f"socast_{key_id}_{secret}")


class KeyRing:
    """Checks keys against the database, remembering each for a few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._remembered: dict[int, tuple[float, keys.KeyRow | None]] = {}

    def known(self, text: str) -> Principal | None:
        """Return whose key this is if that needs no look at the database, else None."""
        key_id, secret = _parse(text)
        remembered = self._remembered.get(key_id)
        if remembered is None or time.monotonic() - remembered[0] > REMEMBERED_S:
            return None
        return _verify(remembered[1], secret)

    def authenticate(self, text: str) -> Principal:
        """Return whose key this is; raise `UnauthorizedError`."""
        key_id, secret = _parse(text)
        with self._database.read() as connection:
            row = keys.get(connection, key_id)
        with self._lock:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key_id] = (time.monotonic(), row)
        return _verify(row, secret)


def _parse(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"socast_(\d{1,10})_([A-Za-z0-9_-]{20,100})", text)
    if found is None or int(found[1]) > MAX_KEY_ID:
        raise UnauthorizedError("That is no key of this service.")
    return int(found[1]), found[2]


def _verify(row: keys.KeyRow | None, secret: str) -> Principal:
    expected = row.secret_sha256 if row is not None else bytes(32)
    matches = hmac.compare_digest(_sha256(secret), expected)
    if row is None or not matches or row.revoked_at_us is not None:
        raise UnauthorizedError("That key is unknown or revoked.")
    return Principal(row.id, Role(row.role), row.device_id)


def _sha256(secret: str) -> bytes:
    # Secrets are 256 random bits: a slow hash would protect nothing that this one does not.
    return hashlib.sha256(secret.encode()).digest()
