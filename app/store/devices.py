"""Devices as they stand: processors, counts, latest context."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from app.store.batch import soc_name
from app.store.tables import device, device_state, processor


@dataclass(frozen=True, slots=True)
class ProcessorInfo:
    """A processor of a device; `id` is its row, `resources` are shared with processors that name them too."""

    id: int
    name: str
    kind: str
    threads: int | None
    resources: tuple[str, ...]
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device; `soc` is what its predictors are keyed by, `context` the newest one received."""

    device_id: str
    model: str
    soc: str
    os: str
    drivers: dict[str, str]
    processors: tuple[ProcessorInfo, ...]
    runs: int
    timings: int
    first_seen_at_us: int
    last_seen_at_us: int
    context: dict[str, Any] | None
    quarantined: bool


_STANDING = (
    select(
        device,
        processor.c.id.label("processor_id"),
        processor.c.name,
        processor.c.kind,
        processor.c.threads,
        processor.c.resources,
        processor.c.unsupported,
        device_state.c.state,
    )
    .outerjoin(processor, processor.c.device == device.c.id)
    .outerjoin(device_state, device_state.c.processor_id == processor.c.id)
    .where(device.c.device_id == bindparam("device_id"))
    .order_by(processor.c.name)
)


def get_standing(connection: Connection, device_id: str) -> tuple[DeviceInfo, dict[int, str]] | None:
    """Return a device and the states of its processors (by their rows) in one query: every plan asks it."""
    rows = connection.execute(_STANDING, {"device_id": device_id}).all()
    if not rows:
        return None
    own = [row for row in rows if row.processor_id is not None]
    info = _device(rows[0], [_processor(row, row.processor_id) for row in own])
    return info, {row.processor_id: row.state for row in own if row.state is not None}


def get_device(connection: Connection, device_id: str) -> DeviceInfo | None:
    """Return one device."""
    rows = connection.execute(select(device).where(device.c.device_id == device_id)).all()
    found = _devices(connection, rows)
    return found[0] if found else None


def list_devices(
    connection: Connection, *, after: str = "", limit: int = 100, soc: str | None = None
) -> list[DeviceInfo]:
    """Return up to `limit` devices in order of their ids, from the one after `after` on."""
    query = select(device).where(device.c.device_id > after).order_by(device.c.device_id).limit(limit)
    if soc is not None:
        query = query.where((device.c.soc == soc) | ((device.c.soc == "") & (device.c.device_id == soc)))
    return _devices(connection, connection.execute(query).all())


def places(connection: Connection, device_id: str | None = None) -> set[tuple[str, str]]:
    """Return (SoC, processor name) of every processor there is, or of one device's."""
    query = select(device.c.soc, device.c.device_id, processor.c.name).join(
        processor, processor.c.device == device.c.id
    )
    if device_id is not None:
        query = query.where(device.c.device_id == device_id)
    return {(soc_name(row.soc, row.device_id), row.name) for row in connection.execute(query)}


def count(connection: Connection) -> tuple[int, int]:
    """Return how many devices there are, and how many of them are set aside."""
    row = connection.execute(
        select(func.count(), func.count().filter(device.c.quarantined)).select_from(device)
    ).one()
    return int(row[0]), int(row[1])


def list_by_last_seen(connection: Connection, limit: int) -> list[DeviceInfo]:
    """Return the devices heard of last, the newest first."""
    query = select(device).order_by(device.c.last_seen_at_us.desc(), device.c.device_id).limit(limit)
    return _devices(connection, connection.execute(query).all())


def quarantined(connection: Connection) -> frozenset[str]:
    """Return the devices that are set aside."""
    return frozenset(connection.scalars(select(device.c.device_id).where(device.c.quarantined.is_(True))))


def quarantine(connection: Connection, device_ids: Collection[str]) -> None:
    """Set these devices aside, and let all others back in."""
    connection.execute(
        update(device)
        .where(device.c.quarantined != device.c.device_id.in_(device_ids))
        .values(quarantined=device.c.device_id.in_(device_ids))
    )


def _devices(connection: Connection, rows: Sequence[Row[Any]]) -> list[DeviceInfo]:
    processors: dict[int, list[ProcessorInfo]] = defaultdict(list)
    found = connection.execute(
        select(processor).where(processor.c.device.in_([row.id for row in rows])).order_by(processor.c.name)
    )
    for row in found:
        processors[row.device].append(_processor(row, row.id))
    return [_device(row, processors[row.id]) for row in rows]


def _processor(row: Row[Any], row_id: int) -> ProcessorInfo:
    return ProcessorInfo(
        row_id,
        row.name,
        row.kind,
        row.threads,
        tuple(json.loads(row.resources)),
        tuple(json.loads(row.unsupported)),
    )


def _device(row: Row[Any], processors: Sequence[ProcessorInfo]) -> DeviceInfo:
    return DeviceInfo(
        device_id=row.device_id,
        model=row.model,
        soc=soc_name(row.soc, row.device_id),
        os=row.os,
        drivers=json.loads(row.drivers),
        processors=tuple(processors),
        runs=row.run_count,
        timings=row.timing_count,
        first_seen_at_us=row.first_seen_at_us,
        last_seen_at_us=row.last_seen_at_us,
        context=None if row.context is None else json.loads(row.context),
        quarantined=row.quarantined,
    )
