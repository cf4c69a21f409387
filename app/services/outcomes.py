"""Take in what became of plans: measured executions, each stored once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isclose

import msgspec
import structlog

from app.errors import Fault, NotFoundError, UnavailableError
from app.observability import INGEST_ROWS
from app.schemas import outcomes as wire
from app.schemas.measurements import Rejection
from app.services.decoding import context_text, decode_envelope, decode_part
from app.services.keys import Principal
from app.services.times import unix_us
from app.store import draws, forecasts, plans
from app.store.draws import Draw
from app.store.engine import Connection, Database
from app.store.plans import Outcome, StoredPlan

log = structlog.get_logger(__name__)

_envelopes = msgspec.json.Decoder(wire.OutcomeEnvelope)
_outcomes = msgspec.json.Decoder(wire.OutcomeDecoded)


class OutcomeService:
    """Stores outcomes; faulty ones are rejected one by one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, plan_id: str, body: bytes, principal: Principal) -> wire.OutcomeReceipt:
        """Store the outcomes of one request in one transaction.

        Raises `NotFoundError` for a plan that was never handed out, `UnavailableError` when the database
        fails; then nothing was stored.
        """
        envelope = decode_envelope(_envelopes.decode, body)
        with self._database.read() as connection:
            plan = plans.get_plan(connection, plan_id)
            if plan is None:
                raise NotFoundError(f"No plan {plan_id!r} was handed out; ask /v1/plan for one.")
            received = _received(connection, plan, envelope.outcomes, principal)
        try:
            with self._database.write() as connection:
                new = plans.add_outcomes(connection, plan_id, received.outcomes)
        except Exception as error:
            log.error("outcomes_not_stored", plan_id=plan_id, exc_info=error)
            raise UnavailableError(
                "The database did not take this; nothing was stored.", headers={"Retry-After": "5"}
            ) from error
        _count(stored=len(new), duplicate=len(received.outcomes) - len(new), rejected=len(received.faults))
        return wire.OutcomeReceipt(
            plan_id=plan_id,
            accepted=wire.OutcomeCounts(len(new), sum(len(item.stages) for item in new)),
            duplicates=wire.DuplicateOutcomes(len(received.outcomes) - len(new)),
            rejected=[Rejection(fault.pointer, fault.detail) for fault in received.faults],
            clamped=received.clamped,
        )


def _count(**outcomes: int) -> None:
    for what, count in outcomes.items():
        if count:
            INGEST_ROWS.labels("outcome", what).inc(count)


class _Received(msgspec.Struct):
    """What of a request can be stored, and what cannot."""

    outcomes: list[Outcome]
    faults: list[Fault]
    clamped: int = 0


def _received(
    connection: Connection, plan: StoredPlan, raws: Sequence[msgspec.Raw], principal: Principal
) -> _Received:
    received = _Received([], [])
    decoded = [
        (place, item)
        for place, raw in enumerate(raws)
        if (item := decode_part(_outcomes.decode, raw, f"/outcomes/{place}", received.faults)) is not None
    ]
    named = {name for _, item in decoded for name in item.alternatives}
    known = plans.known_plans(connection, named)
    processor_of = {stage["id"]: stage["processor"] for stage in plan.plan["stages"]}
    for place, item in decoded:
        if item.device_id is not None:
            principal.check_device(item.device_id)
        drawn = None if item.draw is None else draws.get(connection, item.draw, plan.plan_id)
        fault = (
            _unknown_alternative(item.alternatives, known)
            or _wrong_stage(item.stages, processor_of)
            or _other_draw(item, drawn)
        )
        if fault is not None:
            received.faults.append(replace(fault, pointer=f"/outcomes/{place}{fault.pointer}"))
            continue
        outcome, clamped = _outcome(connection, plan, item, drawn, principal.device_id)
        received.outcomes.append(outcome)
        received.clamped += clamped
    return received


def _outcome(
    connection: Connection,
    plan: StoredPlan,
    item: wire.OutcomeDecoded,
    drawn: Draw | None,
    speaks_for: str | None,
) -> tuple[Outcome, int]:
    """Return an outcome with what was foreseen of it before it ran, and how many shares were clamped."""
    context, clamped = context_text(item.context)
    device_id = item.device_id or speaks_for or plan.device_id
    started_at_us = unix_us(item.started_at)
    alternatives = item.alternatives or (drawn.alternatives if drawn else ())
    outcome = Outcome(
        outcome_id=item.outcome_id,
        started_at_us=started_at_us,
        latency_us=item.latency_us,
        propensity=drawn.propensity if drawn and item.propensity is None else item.propensity,
        context=msgspec.json.decode(context),
        alternatives=alternatives,
        stages=[msgspec.to_builtins(stage) for stage in item.stages],
        device_id=device_id,
        condition=item.condition,
        episode=item.episode,
        chosen_by=item.chosen_by,
        forecasts=forecasts.before(
            connection, sorted({plan.plan_id, *alternatives}), device_id, started_at_us
        ),
    )
    return outcome, clamped


def _other_draw(item: wire.OutcomeDecoded, drawn: Draw | None) -> Fault | None:
    """Return what contradicts the draw that an outcome refers to."""
    if item.draw is None:
        return None
    if drawn is None:
        return Fault("/draw", f"the seed {item.draw!r} has not drawn this plan")
    if item.propensity is not None and not isclose(item.propensity, drawn.propensity, rel_tol=1e-6):
        return Fault(
            "/propensity", f"the plan was drawn with {drawn.propensity:.6g}; leave it out or tell that"
        )
    return None


def _unknown_alternative(alternatives: Sequence[str], known: Collection[str]) -> Fault | None:
    for place, name in enumerate(alternatives):
        if name not in known:
            return Fault(f"/alternatives/{place}", f"no plan {name!r} was handed out")
    return None


def _wrong_stage(stages: Sequence[wire.Stage], processor_of: Mapping[int, str]) -> Fault | None:
    """Return the first fault of stages that are not those of the plan."""
    seen: set[int] = set()
    for place, stage in enumerate(stages):
        planned = processor_of.get(stage.id)
        if planned is None:
            return Fault(f"/stages/{place}/id", f"the plan has no stage {stage.id}")
        if stage.id in seen:
            return Fault(f"/stages/{place}/id", f"stage {stage.id} is told twice")
        if stage.processor != planned:
            return Fault(
                f"/stages/{place}/processor",
                f"the plan runs stage {stage.id} on {planned}, not on {stage.processor}; "
                "report only what the plan itself did",
            )
        if stage.end_us < stage.start_us:
            return Fault(f"/stages/{place}/end_us", f"stage {stage.id} ends before it starts")
        seen.add(stage.id)
    return None
