"""`POST /v1/measurements`: agents hand in what they measured."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import read_body
from app.api.dependencies import IngestDep, SettingsDep
from app.auth import require
from app.errors import SocastError, UnsupportedMediaError
from app.services.keys import Principal, Role

router = APIRouter(prefix="/v1", tags=["measurements"])

JSON = "application/json"
NDJSON = "application/x-ndjson"

Agent = Annotated[Principal, Depends(require(Role.AGENT))]

_encode = msgspec.json.Encoder().encode


@router.post("/measurements", response_class=Response)
async def post_measurements(
    request: Request, settings: SettingsDep, ingest: IngestDep, principal: Agent
) -> Response:
    """Store one batch (JSON) or one a line (NDJSON); answer after the commit.

    NDJSON is answered by one line a batch: its receipt, or the problem for which the whole line was refused.
    """
    media = request.headers.get("content-type", JSON).split(";")[0].strip().lower()
    if media not in (JSON, NDJSON):
        raise UnsupportedMediaError(f"Send `{JSON}` or `{NDJSON}`.")
    body = await read_body(
        request, max_body_bytes=settings.max_body_bytes, max_decoded_bytes=settings.max_decoded_bytes
    )
    if media == JSON:
        (receipt,) = await ingest.take([body], principal)
        if isinstance(receipt, SocastError):
            raise receipt
        return Response(_encode(receipt), media_type=JSON)
    lines = [line for line in body.split(b"\n") if line.strip()]
    answers = await ingest.take(lines, principal)
    encoded = (_encode(answer.problem() if isinstance(answer, SocastError) else answer) for answer in answers)
    return Response(b"\n".join([*encoded, b""]), media_type=NDJSON)
