"""Versions of predictors: immutable bytes, why each was made, and which one serves."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, tuple_, update

from app.errors import ConflictError, NotFoundError
from app.store.bulk import driver_cursor
from app.store.tables import predictor_version as table
from predictors.run import PredictorKey

KEPT_VERSIONS = 20
"""Versions of one key whose bytes are kept; older ones keep their description only."""

_INFO = [column for column in table.c if column.name != "content"]


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version without its bytes; `active` says that it serves its key now."""

    id: int
    key: PredictorKey
    digest: str
    reason: str
    metrics: Mapping[str, Any]
    created_at_us: int
    pinned: bool
    rolled_back: bool
    active: bool


def add(
    connection: Connection,
    key: PredictorKey,
    digest: str,
    content: bytes,
    *,
    reason: str,
    metrics: Mapping[str, Any],
) -> int:
    """Store a version as its key's newest and return its id; the same bytes as the newest change nothing."""
    newest = connection.execute(
        select(table.c.id, table.c.digest, table.c.rolled_back_at_us)
        .where(_is(key))
        .order_by(table.c.id.desc())
        .limit(1)
    ).first()
    if newest is not None and newest.digest == digest and newest.rolled_back_at_us is None:
        return int(newest.id)
    result = connection.execute(
        insert(table).values(
            soc=key.soc,
            processor=key.processor,
            framework=key.framework,
            digest=digest,
            reason=reason,
            metrics=json.dumps(metrics, sort_keys=True),
            created_at_us=time.time_ns() // 1000,
            content=content,
        )
    )
    assert result.inserted_primary_key is not None
    _discard_old(connection, key)
    return int(result.inserted_primary_key[0])


def any_stored(connection: Connection) -> bool:
    """Say whether there is any version at all, at next to no cost."""
    cursor = driver_cursor(connection)
    cursor.execute("SELECT 1 FROM predictor_version LIMIT 1")
    return cursor.fetchone() is not None


def active_ids(connection: Connection) -> dict[PredictorKey, int]:
    """Return the id of the version that serves each key: the one pinned, else the newest not rolled back.

    Cheap enough to ask often.
    """
    rows = connection.execute(
        select(table.c.id, table.c.soc, table.c.processor, table.c.framework)
        .where(_usable())
        .order_by(*_PREFERENCE)
    )
    found: dict[PredictorKey, int] = {}
    for row in rows:
        found.setdefault(PredictorKey(row.soc, row.processor, row.framework), row.id)
    return found


def list_versions(connection: Connection, key: PredictorKey | None = None) -> list[VersionInfo]:
    """Return the versions of `key`, or all, newest first."""
    serving = set(active_ids(connection).values())
    query = select(*_INFO).order_by(table.c.id.desc())
    return [
        _info(row, serving) for row in connection.execute(query if key is None else query.where(_is(key)))
    ]


def get(connection: Connection, version_id: int) -> VersionInfo:
    """Return one version; raise `NotFoundError`."""
    row = connection.execute(select(*_INFO).where(table.c.id == version_id)).first()
    if row is None:
        raise NotFoundError(f"There is no predictor version {version_id}.")
    return _info(row, set(active_ids(connection).values()))


def content(connection: Connection, version_id: int) -> bytes:
    """Return a version's bytes; raise `NotFoundError` when it does not exist or is discarded."""
    data = connection.scalar(select(table.c.content).where(table.c.id == version_id))
    if data is None:
        raise NotFoundError(f"The bytes of predictor version {version_id} are not stored (any more).")
    return bytes(data)


def revision(connection: Connection, key: PredictorKey, *, hold: bool = False) -> int:
    """Return when somebody last pinned or withdrew a version of `key`, 0 before that.

    With `hold` the key's rows stay locked until the transaction ends, so that two changes based on one
    revision cannot both be made.
    """
    query = select(table.c.pinned_at_us, table.c.rolled_back_at_us).where(_is(key))
    rows = connection.execute(query.with_for_update() if hold else query).all()
    return max((moment or 0 for row in rows for moment in row), default=0)


def pin(connection: Connection, version_id: int) -> None:
    """Make this version serve its key until another one is pinned or it is unpinned."""
    info = get(connection, version_id)
    content(connection, version_id)
    unpin(connection, info.key)
    connection.execute(
        update(table)
        .where(table.c.id == version_id)
        .values(pinned_at_us=time.time_ns() // 1000, rolled_back_at_us=None)
    )


def unpin(connection: Connection, key: PredictorKey) -> None:
    """Let the newest version of `key` serve again."""
    connection.execute(update(table).where(_is(key)).values(pinned_at_us=None))


def roll_back(connection: Connection, version_id: int) -> VersionInfo:
    """Take this version out of service and return the one that serves instead.

    Raises `ConflictError` when no other version could.
    """
    info = get(connection, version_id)
    connection.execute(
        update(table)
        .where(table.c.id == version_id)
        .values(rolled_back_at_us=time.time_ns() // 1000, pinned_at_us=None)
    )
    instead = active_ids(connection).get(info.key)
    if instead is None:
        raise ConflictError(
            f"Version {version_id} is the only one of {info.key}; nothing could serve instead."
        )
    return get(connection, instead)


_PREFERENCE = (table.c.pinned_at_us.is_(None), table.c.id.desc())


def _usable() -> Any:  # noqa: ANN401
    return table.c.rolled_back_at_us.is_(None) & table.c.content.is_not(None)


def _is(key: PredictorKey) -> Any:  # noqa: ANN401
    columns = tuple_(table.c.soc, table.c.processor, table.c.framework)
    return columns == tuple_(key.soc, key.processor, key.framework)


def _info(row: Row[Any], serving: set[int]) -> VersionInfo:
    return VersionInfo(
        id=row.id,
        key=PredictorKey(row.soc, row.processor, row.framework),
        digest=row.digest,
        reason=row.reason,
        metrics=json.loads(row.metrics),
        created_at_us=row.created_at_us,
        pinned=row.pinned_at_us is not None,
        rolled_back=row.rolled_back_at_us is not None,
        active=row.id in serving,
    )


def _discard_old(connection: Connection, key: PredictorKey) -> None:
    """Drop the bytes of all but the newest versions of `key`; a pinned one stays."""
    kept = select(table.c.id).where(_is(key), _usable()).order_by(table.c.id.desc()).limit(KEPT_VERSIONS)
    connection.execute(
        update(table)
        .where(_is(key), table.c.pinned_at_us.is_(None), table.c.content.is_not(None))
        .where(table.c.id.not_in(kept.scalar_subquery()))
        .values(content=None)
    )
