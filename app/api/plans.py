"""`/v1/plan`: partition plans for a model in the device's present context."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import DatabaseDep, PlansDep, ShelfDep
from app.api.predictions import coverage_out
from app.auth import require
from app.planning.answered import as_answered
from app.schemas.plans import PlanAnswerOut, PlanRequest
from app.services.explore import Exploring
from app.services.keys import Role
from app.services.plan import ModelToPlan, PlanAnswer, PlanQuestion
from app.services.predict import OFFLINE, RUNTIME
from app.services.watch import PlanWatch

router = APIRouter(tags=["plans"], dependencies=[Depends(require(Role.SCHEDULER))])

JSON = "application/json"

WATCH_PAUSE_S = 0.25
"""How soon a watcher hears of a change."""

PING_S = 15.0

_encode = msgspec.json.Encoder().encode


@router.post("/v1/plan", response_model=PlanAnswerOut)
@router.post("/plan", include_in_schema=False, response_model=PlanAnswerOut)
def post_plan(request: PlanRequest, plans: PlansDep) -> Response:
    """Answer ranked partition plans, each scored by the runtime and by the offline predictor."""
    question = PlanQuestion(
        models=[
            ModelToPlan(
                digest=model.digest,
                deadline_us=model.deadline_us,
                period_us=model.period_us,
                release_us=model.release_us,
                after=tuple(model.after),
                input_shapes={name: tuple(shape) for name, shape in (model.inputs or {}).items()},
            )
            for model in request.models
        ],
        device_id=request.device_id,
        soc=request.soc,
        context=request.context,
        contexts=request.contexts,
        objective=request.objective,
        granularities=request.granularity or (),
        strategies=request.strategies or (),
        processors=request.processors or (),
        unsupported={name: support.unsupported for name, support in request.support.items()},
        memory_cap_bytes=request.memory_cap_bytes,
        max_share=request.max_share,
        budget_ms=request.budget_ms,
        exploring=None if request.explore is None else Exploring(request.explore.share, request.explore.seed),
    )
    return _answer(plans.answer(question, request.model_dump(mode="json", exclude_unset=True)))


@router.get("/v1/plan", response_model=PlanAnswerOut)
@router.get("/plan", include_in_schema=False, response_model=PlanAnswerOut)
def get_plan(
    model: Annotated[str, Query(description="Digest of an uploaded model.")],
    device_id: Annotated[str, Query(description="Device to plan for, in its latest context.")],
    plans: PlansDep,
) -> Response:
    """Answer ranked partition plans of one model with every default."""
    request = {"models": [{"digest": model}], "device_id": device_id}
    return _answer(plans.answer(PlanQuestion([ModelToPlan(model)], device_id=device_id), request))


async def _watch(
    request: Request,
    database: DatabaseDep,
    shelf: ShelfDep,
    plans: PlansDep,
    model: Annotated[str, Query(description="Digest of an uploaded model.")],
    device_id: Annotated[str, Query(description="Device to plan for.")],
    threshold: Annotated[float, Query(ge=0, le=1, description="Relative change worth telling.")] = 0.1,
) -> AsyncIterator[PlanAnswer | None]:
    """Poll a watch; the first answer comes before the response starts, so that errors still have a status."""
    question = PlanQuestion([ModelToPlan(model)], device_id=device_id)
    watch = PlanWatch(database, shelf, plans, question, threshold)
    first = await run_in_threadpool(watch.poll)
    return _polled(request.app.state.draining, watch, first)


async def _polled(
    draining: threading.Event, watch: PlanWatch, first: PlanAnswer | None
) -> AsyncIterator[PlanAnswer | None]:
    yield first
    while not draining.is_set():
        await asyncio.sleep(WATCH_PAUSE_S)
        yield await run_in_threadpool(watch.poll)


@router.get("/v1/plan/watch", response_class=EventSourceResponse)
async def watch_plan(
    answers: Annotated[AsyncIterator[PlanAnswer | None], Depends(_watch)],
) -> AsyncIterator[ServerSentEvent]:
    """Send `plan` with the new best plan whenever it changes by more than `threshold`, `ping` every 15 s."""
    sent_at = time.monotonic()
    async for answer in answers:
        if answer is not None:
            yield ServerSentEvent(event="plan", raw_data=_encode(as_answered(answer.plans[0])).decode())
        elif time.monotonic() - sent_at >= PING_S:
            yield ServerSentEvent(event="ping", raw_data="{}")
        else:
            continue
        sent_at = time.monotonic()


def _answer(answer: PlanAnswer) -> Response:
    body = {
        "plans": list(map(as_answered, answer.plans)),
        "context": answer.target.context,
        "predictors": {
            place.info.name: {
                "version": place.serving.version.digest,
                "framework": place.key.framework,
                "borrowed_from": None if place.borrowed_from is None else str(place.borrowed_from),
                "coverage": {
                    "offline": coverage_out(answer.coverage[place.info.name][OFFLINE]),
                    "runtime": coverage_out(answer.coverage[place.info.name][RUNTIME]),
                },
            }
            for place in answer.used
        },
        "unavailable": [],
        "recent_error": {side: error._asdict() for side, error in answer.recent_error.items()},
        "impossible": answer.impossible,
        "chosen": answer.choice,
        "transfers": [
            {
                "source": source,
                "target": target,
                "latency_us": transfer.cost.latency_us,
                "us_per_byte": transfer.cost.us_per_byte,
                "conversion_us_per_byte": transfer.conversion_us_per_byte,
                "basis": transfer.basis,
                "n": transfer.n,
            }
            for (source, target), transfer in answer.learned.transfers.items()
        ],
        "stage_costs": {
            name: {
                "dispatch_us": stages.dispatch_us,
                "factor": stages.factor,
                "contention": {other: pair._asdict() for other, pair in stages.contention.items()},
                "n": stages.n,
            }
            for name, stages in answer.learned.stages.items()
        },
        "support": answer.support,
    }
    return Response(_encode(body), media_type=JSON)
