"""Stored runs as an analyst browses them: newest first, filtered, page by page."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select, tuple_

from app.store.operators import OperatorReader
from app.store.tables import (
    context,
    device,
    execution_target,
    framework,
    model,
    processor,
    run,
    run_identity,
    timing,
)
from predictors.graph import Operator

DESCRIBED_RUNS: Select[Any] = (
    select(
        run,
        processor.c.name.label("processor"),
        processor.c.kind,
        device.c.device_id,
        device.c.soc,
        device.c.os,
        device.c.drivers,
        framework.c.name.label("framework"),
        framework.c.version,
        model.c.name.label("model_name"),
        model.c.digest,
        context.c.fields,
    )
    .join(processor, processor.c.id == run.c.processor_id)
    .join(device, device.c.id == processor.c.device)
    .join(framework, framework.c.id == run.c.framework_id)
    .join(model, model.c.id == run.c.model_id)
    .join(context, context.c.id == run.c.context_id)
)
"""Runs with all that their rows refer to."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; None lets all through. `model` is a name or a digest, times are those of the start."""

    run_id: UUID | None = None
    soc: str | None = None
    device_id: str | None = None
    processor: str | None = None
    model: str | None = None
    condition: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class TimingInfo:
    """One operator's latency inside a run; `ran_on` is None where that was not told to differ."""

    operator: Operator
    latency_us: float
    ran_on: str | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A stored run; `id` is the store's own, `timings` None when not asked for."""

    id: int
    run_id: UUID
    soc: str
    device_id: str
    processor: str
    framework: str
    model_name: str
    model_digest: str
    started_at_us: int
    condition: str | None
    context: dict[str, Any]
    profiled: bool
    calibration: bool
    total_us: float
    energy_mj: float | None
    inclusion_probability: float
    timings: tuple[TimingInfo, ...] | None


def list_runs(
    connection: Connection,
    wanted: RunFilter,
    *,
    after: tuple[int, int] | None = None,
    limit: int = 100,
    with_timings: bool = False,
) -> list[RunInfo]:
    """Return up to `limit` runs, newest start first, from the one after `after` (its start and id) on."""
    query = DESCRIBED_RUNS.order_by(run.c.started_at_us.desc(), run.c.id.desc()).limit(limit)
    if wanted.run_id is not None:
        query = query.where(run.c.id.in_(_identified(connection, wanted.run_id)))
    if wanted.device_id is not None or wanted.processor is not None or wanted.soc is not None:
        query = query.where(run.c.processor_id.in_(_processors(connection, wanted)))
    if wanted.model is not None:
        named = select(model.c.id).where((model.c.name == wanted.model) | (model.c.digest == wanted.model))
        query = query.where(run.c.model_id.in_(list(connection.scalars(named))))
    if wanted.condition is not None:
        query = query.where(run.c.condition == wanted.condition)
    if wanted.since_us is not None:
        query = query.where(run.c.started_at_us >= wanted.since_us)
    if wanted.until_us is not None:
        query = query.where(run.c.started_at_us < wanted.until_us)
    if after is not None:
        query = query.where(tuple_(run.c.started_at_us, run.c.id) < tuple_(*after))
    rows = connection.execute(query).all()
    timings = _timings(connection, [row.id for row in rows]) if with_timings else None
    return [_info(row, None if timings is None else tuple(timings[row.id])) for row in rows]


def _identified(connection: Connection, run_id: UUID) -> list[int]:
    query = select(run_identity.c.run_id).where(run_identity.c.run_uuid == run_id)
    return list(connection.scalars(query))


def _processors(connection: Connection, wanted: RunFilter) -> list[int]:
    query = select(processor.c.id).join(device, device.c.id == processor.c.device)
    if wanted.soc is not None:
        alone = (device.c.soc == "") & (device.c.device_id == wanted.soc)
        query = query.where((device.c.soc == wanted.soc) | alone)
    if wanted.device_id is not None:
        query = query.where(device.c.device_id == wanted.device_id)
    if wanted.processor is not None:
        query = query.where(processor.c.name == wanted.processor)
    return list(connection.scalars(query))


def _timings(connection: Connection, run_ids: Sequence[int]) -> dict[int, list[TimingInfo]]:
    rows = connection.execute(
        select(timing.c.run_id, timing.c.operator_id, timing.c.latency_ns, execution_target.c.name)
        .outerjoin(execution_target, execution_target.c.id == timing.c.ran_on)
        .where(timing.c.run_id.in_(run_ids))
        .order_by(timing.c.run_id, timing.c.position)
    ).all()
    operators = OperatorReader().get(connection, {row.operator_id for row in rows})
    found: dict[int, list[TimingInfo]] = defaultdict(list)
    for row in rows:
        found[row.run_id].append(TimingInfo(operators[row.operator_id], row.latency_ns / 1000, row.name))
    return found


def _info(row: Row[Any], timings: tuple[TimingInfo, ...] | None) -> RunInfo:
    return RunInfo(
        id=row.id,
        run_id=row.run_uuid,
        soc=row.soc,
        device_id=row.device_id,
        processor=row.processor,
        framework=f"{row.framework} {row.version}".strip(),
        model_name=row.model_name,
        model_digest=row.digest,
        started_at_us=row.started_at_us,
        condition=row.condition,
        context=json.loads(row.fields),
        profiled=row.profiled,
        calibration=row.calibration,
        total_us=row.total_ns / 1000,
        energy_mj=row.energy_mj,
        inclusion_probability=1.0 if row.inclusion_probability is None else row.inclusion_probability,
        timings=timings,
    )
