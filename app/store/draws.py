"""Choices that were asked to explore, as they were drawn."""

import json
import time
from dataclasses import dataclass

from sqlalchemy import Connection, select

from app.store.tables import draw


@dataclass(frozen=True, slots=True)
class Draw:
    """A plan drawn by a request's `seed`, with its chance among its alternatives."""

    seed: str
    plan_id: str
    device_id: str | None
    share: float
    explored: bool
    propensity: float
    alternatives: tuple[str, ...]


def put(connection: Connection, drawn: Draw) -> None:
    """Store a draw of a plan that is stored."""
    connection.execute(
        draw.insert(),
        {
            "seed": drawn.seed,
            "plan_id": drawn.plan_id,
            "device_id": drawn.device_id,
            "drawn_at_us": time.time_ns() // 1000,
            "share": drawn.share,
            "explored": drawn.explored,
            "propensity": drawn.propensity,
            "alternatives": json.dumps(drawn.alternatives),
        },
    )


def get(connection: Connection, seed: str, plan_id: str) -> Draw | None:
    """Return the newest draw of a plan by a seed."""
    row = connection.execute(
        select(draw).where(draw.c.seed == seed, draw.c.plan_id == plan_id).order_by(draw.c.id.desc()).limit(1)
    ).first()
    if row is None:
        return None
    return Draw(
        row.seed,
        row.plan_id,
        row.device_id,
        row.share,
        row.explored,
        row.propensity,
        tuple(json.loads(row.alternatives)),
    )
