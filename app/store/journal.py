"""The journal of learning: drifts, refits, versions made, pinned and withdrawn, devices set aside."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, tuple_

from app.store.batch import soc_name
from app.store.tables import device
from app.store.tables import learning_event as table
from predictors.notices import REFUSED, Notice, Published
from predictors.run import PredictorKey


class Kind(StrEnum):
    """What happened."""

    DRIFT = "drift"
    """Prediction errors grew; a refit follows as soon as enough runs are there."""
    VERSION = "version"
    """A version was fitted and published; `trigger` says why."""
    REFUSED_REFIT = "refused_refit"
    """A version was fitted, did worse than the one in service, and was thrown away."""
    QUARANTINE = "quarantine"
    """A device cannot be telling the truth: nothing is learned from it."""
    RELEASE = "release"
    """A device set aside agrees with its peers again."""
    PIN = "pin"
    """An admin made a version stay."""
    ROLLBACK = "rollback"
    """An admin withdrew a version."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry; errors are mean absolute log errors, `at_us` is the start of the run that brought it about.

    `version_id` is None where no version was made, `device_id` where it concerns all devices of the SoC.
    """

    id: int
    at_us: int
    recorded_at_us: int
    kind: str
    key: PredictorKey
    device_id: str | None
    version_id: int | None
    predictor: str
    trigger: str
    error_before: float | None
    error_after: float | None
    held_back_runs: int | None
    trained_runs: int | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None lets all through. A device's events are its own and those of its SoC."""

    kind: str | None = None
    soc: str | None = None
    processor: str | None = None
    framework: str | None = None
    device_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def note(connection: Connection, notice: Notice, at_us: int) -> None:
    """Enter what the learner noticed about a key."""
    kind = Kind.REFUSED_REFIT if notice.kind == REFUSED else Kind.DRIFT
    _enter(
        connection,
        kind,
        notice.version.key,
        at_us,
        device_id=notice.device_id,
        predictor=notice.version.digest,
        trigger=notice.trigger,
        error_before=notice.error_before,
        error_after=notice.error_after,
        held_back_runs=notice.held_back_runs,
        trained_runs=notice.version.trained_runs,
    )


def version_made(
    connection: Connection,
    version_id: int,
    published: Published,
    at_us: int,
) -> None:
    """Enter a new version, with its and its predecessor's errors on runs that neither had learned from."""
    metrics = published.metrics
    _enter(
        connection,
        Kind.VERSION,
        published.version.key,
        at_us,
        version_id=version_id,
        predictor=published.version.digest,
        trigger=published.reason,
        error_before=metrics.get("serving_error"),
        error_after=metrics.get("held_back_error"),
        held_back_runs=metrics.get("held_back_runs"),
        trained_runs=metrics.get("trained_runs"),
    )


def changed_by_hand(
    connection: Connection, kind: Kind, key: PredictorKey, version_id: int, digest: str
) -> None:
    """Enter that an admin pinned or withdrew a version."""
    _enter(
        connection,
        kind,
        key,
        time.time_ns() // 1000,
        version_id=version_id,
        predictor=digest,
        trigger="an admin",
    )


def set_aside(
    connection: Connection,
    found: Mapping[PredictorKey, Collection[str]],
    before: Collection[str],
    at_us: int,
) -> None:
    """Enter which devices are newly set aside, and which of those set aside before are not any more."""
    for key, device_ids in found.items():
        for device_id in sorted(set(device_ids) - set(before)):
            _enter(
                connection,
                Kind.QUARANTINE,
                key,
                at_us,
                device_id=device_id,
                trigger="its runs differ from its peers' by a factor that no condition explains",
            )
    still = {device_id for device_ids in found.values() for device_id in device_ids}
    for device_id in sorted(set(before) - still):
        nothing = PredictorKey("", "", "")
        _enter(connection, Kind.RELEASE, nothing, at_us, device_id=device_id, trigger="agrees with its peers")


def list_events(
    connection: Connection, wanted: EventFilter, *, after: tuple[int, int] | None = None, limit: int
) -> list[Event]:
    """Return up to `limit` events, newest first, from the one after `after` (its `at_us` and id) on."""
    query = select(table).order_by(table.c.at_us.desc(), table.c.id.desc()).limit(limit)
    for name in ("kind", "soc", "processor", "framework"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table.c[name] == value)
    if wanted.device_id is not None:
        query = query.where(_concerns(connection, wanted.device_id))
    if wanted.since_us is not None:
        query = query.where(table.c.at_us >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(table.c.at_us < wanted.until_us)
    if after is not None:
        query = query.where(tuple_(table.c.at_us, table.c.id) < tuple_(*after))
    return [_event(row) for row in connection.execute(query)]


def publications(
    connection: Connection, keys: Collection[PredictorKey]
) -> dict[PredictorKey, list[tuple[int, str]]]:
    """Return (event id, digest) of every version published of these keys, oldest first."""
    columns = (table.c.soc, table.c.processor, table.c.framework)
    rows = connection.execute(
        select(*columns, table.c.id, table.c.predictor)
        .where(
            table.c.kind == Kind.VERSION.value,
            tuple_(*columns).in_([(key.soc, key.processor, key.framework) for key in keys]),
        )
        .order_by(table.c.id)
    )
    found: dict[PredictorKey, list[tuple[int, str]]] = {key: [] for key in keys}
    for row in rows:
        found[PredictorKey(row.soc, row.processor, row.framework)].append((row.id, row.predictor))
    return found


def _concerns(connection: Connection, device_id: str) -> ColumnElement[bool]:
    soc = connection.scalar(select(device.c.soc).where(device.c.device_id == device_id))
    common = table.c.device_id.is_(None) & (table.c.soc == soc_name(soc or "", device_id))
    return (table.c.device_id == device_id) | common


def _enter(connection: Connection, kind: Kind, key: PredictorKey, at_us: int, **details: Any) -> None:  # noqa: ANN401
    values = {"predictor": "", **details}
    connection.execute(
        insert(table).values(
            at_us=at_us,
            recorded_at_us=time.time_ns() // 1000,
            kind=kind.value,
            soc=key.soc,
            processor=key.processor,
            framework=key.framework,
            **values,
        )
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        row.id,
        row.at_us,
        row.recorded_at_us,
        row.kind,
        PredictorKey(row.soc, row.processor, row.framework),
        row.device_id,
        row.version_id,
        row.predictor,
        row.trigger,
        row.error_before,
        row.error_after,
        row.held_back_runs,
        row.trained_runs,
    )
