"""Plans that were handed out, and what became of them."""

import json
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from app.store.tables import outcome, plan
from app.store.upsert import insert_or

_IDS_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan as it was answered, and the request that it answered."""

    plan_id: str
    device_id: str | None
    created_at_us: int
    request: dict[str, Any]
    plan: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measured execution of a plan.

    `propensity` is the chance with which it was chosen among its `alternatives`, `chosen_by` names the
    predictors that put it first, outcomes of one `episode` were interleaved, `condition` labels it.
    `forecasts` hold what was foreseen of it and of its alternatives before it ran, by plan.
    """

    outcome_id: uuid.UUID
    started_at_us: int
    latency_us: float
    propensity: float | None
    context: Mapping[str, Any]
    alternatives: Sequence[str]
    stages: Sequence[Mapping[str, Any]]
    device_id: str | None = None
    condition: str | None = None
    episode: str | None = None
    chosen_by: Sequence[str] = ()
    forecasts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def put_plans(
    connection: Connection,
    request: Mapping[str, Any],
    device_id: str | None,
    plans: Sequence[Mapping[str, Any]],
) -> None:
    """Store plans under their `plan_id`; those stored already stay as they are."""
    if not plans:
        return
    now_us = time.time_ns() // 1000
    text = json.dumps(request, sort_keys=True)
    connection.execute(
        insert_or(connection, plan).on_conflict_do_nothing(),
        [
            {
                "plan_id": item["plan_id"],
                "device_id": device_id,
                "created_at_us": now_us,
                "request": text,
                "plan": json.dumps(item, sort_keys=True),
            }
            for item in plans
        ],
    )


def get_plan(connection: Connection, plan_id: str) -> StoredPlan | None:
    """Return one plan."""
    row = connection.execute(select(plan).where(plan.c.plan_id == plan_id)).first()
    return None if row is None else _plan(row)


def latest_plans(connection: Connection, device_id: str, limit: int = 20) -> list[StoredPlan]:
    """Return the newest plans for a device."""
    query = (
        select(plan).where(plan.c.device_id == device_id).order_by(plan.c.created_at_us.desc()).limit(limit)
    )
    return [_plan(row) for row in connection.execute(query)]


def known_plans(connection: Connection, plan_ids: Collection[str]) -> set[str]:
    """Return those of these plans that were handed out."""
    found: set[str] = set()
    names = sorted(plan_ids)
    for start in range(0, len(names), _IDS_A_QUERY):
        some = names[start : start + _IDS_A_QUERY]
        found.update(connection.scalars(select(plan.c.plan_id).where(plan.c.plan_id.in_(some))))
    return found


def add_outcomes(connection: Connection, plan_id: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Store outcomes, each once by its `outcome_id`; return those that were new."""
    if not outcomes:
        return []
    by_id = {item.outcome_id: item for item in reversed(outcomes)}
    now_us = time.time_ns() // 1000
    stored = connection.scalars(
        insert_or(connection, outcome).on_conflict_do_nothing().returning(outcome.c.outcome_uuid),
        [
            {
                "outcome_uuid": item.outcome_id,
                "plan_id": plan_id,
                "started_at_us": item.started_at_us,
                "stored_at_us": now_us,
                "latency_ns": round(item.latency_us * 1000),
                "propensity": item.propensity,
                "context": json.dumps(item.context, sort_keys=True),
                "alternatives": json.dumps(list(item.alternatives)),
                "stages": json.dumps([dict(stage) for stage in item.stages]),
                "device_id": item.device_id,
                "condition": item.condition,
                "episode": item.episode,
                "chosen_by": json.dumps(list(item.chosen_by)),
                "forecasts": json.dumps(item.forecasts, sort_keys=True),
            }
            for item in by_id.values()
        ],
    )
    new = set(stored)
    return [item for item in by_id.values() if item.outcome_id in new]


def outcomes_of(connection: Connection, plan_ids: Sequence[str]) -> dict[str, list[Outcome]]:
    """Return the outcomes of plans, oldest first, by plan."""
    query = select(outcome).where(outcome.c.plan_id.in_(plan_ids)).order_by(outcome.c.started_at_us)
    found: dict[str, list[Outcome]] = {}
    for row in connection.execute(query):
        found.setdefault(row.plan_id, []).append(_outcome(row))
    return found


def _plan(row: Row[Any]) -> StoredPlan:
    return StoredPlan(
        row.plan_id, row.device_id, row.created_at_us, json.loads(row.request), json.loads(row.plan)
    )


def _outcome(row: Row[Any]) -> Outcome:
    return Outcome(
        outcome_id=row.outcome_uuid,
        started_at_us=row.started_at_us,
        latency_us=row.latency_ns / 1000,
        propensity=row.propensity,
        context=json.loads(row.context),
        alternatives=json.loads(row.alternatives),
        stages=json.loads(row.stages),
        device_id=row.device_id,
        condition=row.condition,
        episode=row.episode,
        chosen_by=json.loads(row.chosen_by),
        forecasts=json.loads(row.forecasts),
    )
