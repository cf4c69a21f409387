"""`POST /v1/plans/{plan_id}/outcomes`: schedulers and executors tell how plans went."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.bodies import read_message
from app.api.dependencies import IngestDep, OutcomesDep, SettingsDep
from app.api.documented import request_body
from app.auth import require
from app.schemas.outcomes import OutcomeBatch
from app.services.keys import Principal, Role

router = APIRouter(prefix="/v1", tags=["plans"])

JSON = "application/json"

Executor = Annotated[Principal, Depends(require(Role.SCHEDULER, Role.AGENT))]

_encode = msgspec.json.Encoder().encode


@router.post("/plans/{plan_id}/outcomes", response_class=Response, openapi_extra=request_body(OutcomeBatch))
async def post_outcomes(
    plan_id: str,
    request: Request,
    settings: SettingsDep,
    ingest: IngestDep,
    outcomes: OutcomesDep,
    principal: Executor,
) -> Response:
    """Store measured executions of a plan, each once by its `outcome_id`; answer after the commit."""
    with ingest.reservation() as reservation:
        body = await read_message(request, settings, reservation)
        receipt = await run_in_threadpool(outcomes.take, plan_id, body, principal)
    return Response(_encode(receipt), media_type=JSON)
