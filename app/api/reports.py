"""`/v1/reports/errors`: how wrong each rung of the ladder was, in groups."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from app.api.dependencies import DatabaseDep
from app.api.files import table_response
from app.auth import require
from app.schemas.reports import ErrorQuery, ErrorReport, Format
from app.services import grouping, report
from app.services.keys import Role
from app.services.times import optional_unix_us
from app.store.reports import DIMENSIONS, ErrorFilter

router = APIRouter(prefix="/v1/reports", tags=["reports"], dependencies=[Depends(require(Role.ANALYST))])

_encode = msgspec.json.Encoder().encode


@router.get("/errors", response_model=ErrorReport)
def get_errors(database: DatabaseDep, query: Annotated[ErrorQuery, Query()]) -> Response:
    """Answer every rung's prediction errors in groups, on the levels run and operator; all are fractions."""
    dimensions = grouping.dimensions(query.group_by, DIMENSIONS)
    wanted = ErrorFilter(
        since_us=optional_unix_us(query.since),
        until_us=optional_unix_us(query.until),
        device_id=query.device_id,
        soc=query.soc,
        processor=query.processor,
        condition=query.condition,
        model=query.model,
        op_type=query.op_type,
    )
    if query.format is not Format.JSON:
        return table_response(report.table(database, dimensions, wanted), query.format, "errors")
    found = report.errors(database, dimensions, wanted, cursor=query.cursor, limit=query.limit)
    # A long page is thousands of numbers: written as they are, not checked once more against the schema.
    body = {
        "group_by": dimensions,
        "since": query.since,
        "until": query.until,
        "groups": found.groups,
        "pending_runs": found.pending_runs,
        "next": found.next,
    }
    return Response(_encode(body), media_type="application/json")
