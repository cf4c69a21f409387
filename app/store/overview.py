"""What is stored, in a few numbers."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.store.tables import device, run

RATE_WINDOW_US = 60_000_000
_COUNTED_RUNS = 200_000
"""More runs than this within the window are not counted one by one: the rate is then at least that."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How much is stored, and how many runs came in during the last minute."""

    devices: int
    runs: int
    timings: int
    recent_runs: int


def totals(connection: Connection) -> Totals:
    """Return the totals; `run.id` is the microsecond of storing."""
    row = connection.execute(
        select(
            func.count(device.c.id),
            func.coalesce(func.sum(device.c.run_count), 0),
            func.coalesce(func.sum(device.c.timing_count), 0),
        )
    ).one()
    since = time.time_ns() // 1000 - RATE_WINDOW_US
    recent = select(run.c.id).where(run.c.id > since).limit(_COUNTED_RUNS).subquery()
    return Totals(
        int(row[0]),
        int(row[1]),
        int(row[2]),
        connection.scalar(select(func.count()).select_from(recent)) or 0,
    )
