"""What was foreseen of plans, each time it moved."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from app.store.tables import forecast


def put(connection: Connection, device_id: str | None, content: Mapping[str, Mapping[str, Any]]) -> None:
    """Store what was answered just now of plans that are stored, by plan."""
    if content:
        now_us = time.time_ns() // 1000
        connection.execute(
            forecast.insert(),
            [
                {
                    "plan_id": plan_id,
                    "device_id": device_id or "",
                    "answered_at_us": now_us,
                    "content": json.dumps(values, sort_keys=True),
                }
                for plan_id, values in content.items()
            ],
        )


def before(
    connection: Connection, plan_ids: Sequence[str], device_id: str | None, time_us: int
) -> dict[str, Any]:
    """Return what was last foreseen of plans before a time, by plan.

    Plans may have been asked for the device or for its SoC. A plan cannot run before it was handed out:
    where nothing is older, the device's clock is wrong and the first forecast is meant.
    """
    found = {}
    for plan_id in plan_ids:
        mine = select(forecast.c.content).where(
            forecast.c.plan_id == plan_id, forecast.c.device_id.in_({device_id or "", ""})
        )
        older = mine.where(forecast.c.answered_at_us <= time_us)
        content = connection.scalar(older.order_by(forecast.c.answered_at_us.desc()).limit(1))
        if content is None:
            content = connection.scalar(mine.order_by(forecast.c.answered_at_us).limit(1))
        if content is not None:
            found[plan_id] = json.loads(content)
    return found
