"""The fast state of each device's processor: one small JSON text, replaced with every batch."""

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select

from app.store.tables import device, device_state, processor
from app.store.upsert import insert_or


def get(connection: Connection, device_id: str, processor_name: str) -> str | None:
    """Return the state of a device's processor, None when it has none yet."""
    return connection.scalar(
        select(device_state.c.state)
        .join(processor, processor.c.id == device_state.c.processor_id)
        .join(device, device.c.id == processor.c.device)
        .where(device.c.device_id == device_id, processor.c.name == processor_name)
    )


def last_change_us(connection: Connection, device_id: str) -> int:
    """Return when a state of this device last moved, 0 before its first one."""
    return (
        connection.scalar(
            select(func.max(device_state.c.updated_at_us))
            .join(processor, processor.c.id == device_state.c.processor_id)
            .join(device, device.c.id == processor.c.device)
            .where(device.c.device_id == device_id)
        )
        or 0
    )


def get_many(connection: Connection, processor_ids: Iterable[int]) -> dict[int, str]:
    """Return the states of these processors (rows of `processor`), those that have one."""
    query = select(device_state.c.processor_id, device_state.c.state).where(
        device_state.c.processor_id.in_(list(processor_ids))
    )
    return {row.processor_id: row.state for row in connection.execute(query)}


def put_many(connection: Connection, states: Mapping[int, str]) -> None:
    """Replace the states of these processors (rows of `processor`)."""
    if not states:
        return
    statement = insert_or(connection, device_state)
    now_us = time.time_ns() // 1000
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["processor_id"],
            set_={"state": statement.excluded.state, "updated_at_us": statement.excluded.updated_at_us},
        ),
        [{"processor_id": key, "state": state, "updated_at_us": now_us} for key, state in states.items()],
    )
