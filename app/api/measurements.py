"""`POST /v1/measurements`: agents hand in what they measured."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import read_message
from app.api.dependencies import IngestDep, SettingsDep
from app.api.documented import request_body
from app.auth import require
from app.errors import SocastError, UnsupportedMediaError
from app.schemas.measurements import MeasurementBatch
from app.services.keys import Principal, Role

router = APIRouter(prefix="/v1", tags=["measurements"])

JSON = "application/json"
NDJSON = "application/x-ndjson"

Agent = Annotated[Principal, Depends(require(Role.AGENT))]

_encode = msgspec.json.Encoder().encode


@router.post("/measurements", response_class=Response, openapi_extra=request_body(MeasurementBatch))
async def post_measurements(
    request: Request, settings: SettingsDep, ingest: IngestDep, principal: Agent
) -> Response:
    """Store one batch (JSON) or one a line (NDJSON); answer after the commit.

    NDJSON is answered by one line a batch: its receipt, or the problem for which the whole line was refused.
    """
    media = request.headers.get("content-type", JSON).split(";")[0].strip().lower()
    if media not in (JSON, NDJSON):
        raise UnsupportedMediaError(f"Send `{JSON}` or `{NDJSON}`.")
    with ingest.reservation() as reservation:
        body = await read_message(request, settings, reservation)
        bodies = [body] if media == JSON else [line for line in body.split(b"\n") if line.strip()]
        answers = await ingest.take(bodies, principal)
    if media == JSON:
        (answer,) = answers
        if isinstance(answer, SocastError):
            raise answer
        return Response(_encode(answer), media_type=JSON)
    lines = (_encode(item.problem() if isinstance(item, SocastError) else item) for item in answers)
    return Response(b"\n".join([*lines, b""]), media_type=NDJSON)
