"""Measured copies between processors."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from app.store.tables import transfer


class MeasuredCopy(NamedTuple):
    """One copy: its size and how long it took."""

    size_bytes: int
    latency_us: float


def newest(connection: Connection, source_id: int, target_id: int, limit: int = 200) -> list[MeasuredCopy]:
    """Return the newest copies between two processors (rows of `processor`)."""
    rows = connection.execute(
        select(transfer.c.size_bytes, transfer.c.latency_ns)
        .where(
            transfer.c.source_processor_id == source_id,
            transfer.c.target_processor_id == target_id,
        )
        .order_by(transfer.c.id.desc())
        .limit(limit)
    )
    return [MeasuredCopy(row.size_bytes, row.latency_ns / 1000) for row in rows]
