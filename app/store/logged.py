"""Outcomes as reports read them: what ran, what it was chosen among, what had been foreseen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from app.store.batch import soc_name
from app.store.models import list_graphs
from app.store.tables import device, outcome, plan


@dataclass(frozen=True, slots=True)
class Logged:
    """One execution of a plan; `model` names what the plan was asked for, several models joined by `+`.

    `forecasts` are by plan: of this one and of its alternatives, as far as they were handed out before.
    """

    plan_id: str
    started_at_us: int
    latency_us: float
    propensity: float | None
    alternatives: tuple[str, ...]
    device_id: str
    soc: str
    model: str
    condition: str
    episode: str | None
    chosen_by: tuple[str, ...]
    forecasts: Mapping[str, Mapping[str, Any]]


def newest(
    connection: Connection,
    limit: int,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    device_id: str | None = None,
    soc: str | None = None,
) -> list[Logged]:
    """Return the newest `limit` executions that started in a range, in order of their starts.

    Those of quarantined devices are left out.
    """
    query = (
        select(
            outcome.c.plan_id,
            outcome.c.started_at_us,
            outcome.c.latency_ns,
            outcome.c.propensity,
            outcome.c.alternatives,
            outcome.c.device_id,
            outcome.c.condition,
            outcome.c.episode,
            outcome.c.chosen_by,
            outcome.c.forecasts,
            device.c.soc,
        )
        .outerjoin(device, device.c.device_id == outcome.c.device_id)
        .where(device.c.quarantined.is_not(True))
        .order_by(outcome.c.started_at_us.desc(), outcome.c.outcome_uuid)
        .limit(limit)
    )
    if since_us is not None:
        query = query.where(outcome.c.started_at_us >= since_us)
    if until_us is not None:
        query = query.where(outcome.c.started_at_us < until_us)
    if device_id is not None:
        query = query.where(outcome.c.device_id == device_id)
    if soc is not None:
        query = query.where((device.c.soc == soc) | ((device.c.soc == "") & (device.c.device_id == soc)))
    rows = connection.execute(query).all()
    models = _models(connection, {row.plan_id for row in rows})
    return [
        Logged(
            row.plan_id,
            row.started_at_us,
            row.latency_ns / 1000,
            row.propensity,
            tuple(json.loads(row.alternatives)),
            row.device_id or "",
            soc_name(row.soc or "", row.device_id or ""),
            models[row.plan_id],
            row.condition or "",
            row.episode,
            tuple(json.loads(row.chosen_by)),
            json.loads(row.forecasts),
        )
        for row in reversed(rows)
    ]


def _models(connection: Connection, plan_ids: set[str]) -> dict[str, str]:
    """Return what plans were asked for, by the names of uploaded models where there are any."""
    names = dict(list_graphs(connection))
    found = {}
    ordered = sorted(plan_ids)
    for start in range(0, len(ordered), 500):
        some = ordered[start : start + 500]
        for row in connection.execute(select(plan.c.plan_id, plan.c.request).where(plan.c.plan_id.in_(some))):
            digests = [model["digest"] for model in json.loads(row.request).get("models", ())]
            found[row.plan_id] = "+".join(names.get(digest, digest) for digest in digests)
    return found
