"""Executed stages and measured copies in the order of their receipt: what costs are learned from."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select

from app.store.batch import soc_name
from app.store.tables import device, outcome, plan, processor, transfer


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution whose stages were told, with what was foreseen of its plan."""

    outcome_id: UUID
    stored_at_us: int
    soc: str
    plan_id: str
    stages: Sequence[Mapping[str, Any]]
    forecast: Mapping[str, Any]


class MeasuredCopy(NamedTuple):
    """One copy between two processors of a SoC, numbered in the order of receipt."""

    id: int
    soc: str
    source: str
    target: str
    size_bytes: int
    latency_us: float


def executions_since(
    connection: Connection, stored_at_us: int, known: Collection[UUID], limit: int
) -> list[Execution]:
    """Return executions stored at a time or later, but those `known`, the newest `limit` in order of receipt.

    Those of quarantined devices are left out.
    """
    rows = connection.execute(
        select(
            outcome.c.outcome_uuid,
            outcome.c.stored_at_us,
            outcome.c.plan_id,
            outcome.c.stages,
            outcome.c.forecasts,
            device.c.soc,
            device.c.device_id,
        )
        .join(device, device.c.device_id == outcome.c.device_id)
        .where(outcome.c.stored_at_us >= stored_at_us, outcome.c.stages != "[]")
        .where(device.c.quarantined.is_(False))
        .order_by(outcome.c.stored_at_us.desc())
        .limit(limit)
    ).all()
    return [
        Execution(
            row.outcome_uuid,
            row.stored_at_us,
            soc_name(row.soc, row.device_id),
            row.plan_id,
            json.loads(row.stages),
            json.loads(row.forecasts).get(row.plan_id, {}),
        )
        for row in reversed(rows)
        if row.outcome_uuid not in known
    ]


def planned_stages(connection: Connection, plan_id: str) -> tuple[list[dict[str, Any]], bool]:
    """Return a plan's stages, and whether its models recur within it (a period was asked for)."""
    row = connection.execute(select(plan.c.plan, plan.c.request).where(plan.c.plan_id == plan_id)).one()
    recurs = any("period_us" in model for model in json.loads(row.request).get("models", ()))
    return json.loads(row.plan)["stages"], recurs


def copies_since(connection: Connection, after_id: int, limit: int) -> list[MeasuredCopy]:
    """Return copies stored after one, the newest `limit` in order of receipt; none of quarantined devices."""
    target = processor.alias("target")
    rows = connection.execute(
        select(
            transfer.c.id,
            transfer.c.size_bytes,
            transfer.c.latency_ns,
            processor.c.name.label("source"),
            target.c.name.label("target"),
            device.c.soc,
            device.c.device_id,
        )
        .join(processor, processor.c.id == transfer.c.source_processor_id)
        .join(target, target.c.id == transfer.c.target_processor_id)
        .join(device, device.c.id == processor.c.device)
        .where(transfer.c.id > after_id, device.c.quarantined.is_(False))
        .order_by(transfer.c.id.desc())
        .limit(limit)
    ).all()
    return [
        MeasuredCopy(
            row.id,
            soc_name(row.soc, row.device_id),
            row.source,
            row.target,
            row.size_bytes,
            row.latency_ns / 1000,
        )
        for row in reversed(rows)
    ]
