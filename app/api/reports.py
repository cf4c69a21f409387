"""`/v1/reports`: what analysts pull."""

import io
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Depends, Query, Response

from app.api.dependencies import DatabaseDep
from app.auth import require
from app.errors import Fault, InvalidRequestError
from app.schemas.reports import ErrorFigures, ErrorGroup, ErrorReport
from app.services import report
from app.services.keys import Role
from app.store.reports import DIMENSIONS

router = APIRouter(prefix="/v1/reports", tags=["reports"], dependencies=[Depends(require(Role.ANALYST))])


class Format(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@router.get("/errors", response_model=ErrorReport)
def get_errors(
    database: DatabaseDep,
    group_by: Annotated[
        str, Query(description=f"Comma-separated, any of {', '.join(DIMENSIONS)}.")
    ] = "condition",
    since: Annotated[datetime | None, Query(description="Only runs from this hour on.")] = None,
    until: Annotated[datetime | None, Query(description="Only runs before this hour's end.")] = None,
    device_id: Annotated[str | None, Query(description="Only this device.")] = None,
    format_: Annotated[Format, Query(alias="format")] = Format.JSON,
) -> ErrorReport | Response:
    """Answer every rung's prediction errors in groups, on the levels run and operator; all are fractions."""
    dimensions = _dimensions(group_by)
    found = report.errors(
        database, dimensions, since_us=_unix_us(since), until_us=_unix_us(until), device_id=device_id
    )
    if format_ is not Format.JSON:
        return _file(pd.DataFrame(report.flat_rows(found)), format_)
    return ErrorReport(
        group_by=dimensions,
        since=since,
        until=until,
        groups=[
            ErrorGroup(
                level=group.level,
                group=dict(group.group),
                rungs={rung: ErrorFigures.model_validate(values) for rung, values in group.rungs.items()},
            )
            for group in found.groups
        ],
        pending_runs=found.pending_runs,
    )


def _dimensions(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in DIMENSIONS]
    if unknown:
        detail = f"Cannot group by {', '.join(unknown)}; use any of {', '.join(DIMENSIONS)}."
        raise InvalidRequestError(detail, faults=(Fault("/query/group_by", detail),))
    return names


def _unix_us(time: datetime | None) -> int | None:
    if time is None:
        return None
    if time.tzinfo is None:
        detail = "Times need a zone, for example `2026-11-21T07:00:00Z`."
        raise InvalidRequestError(detail, faults=(Fault("/query", detail),))
    return int(time.timestamp() * 1e6)


def _file(table: pd.DataFrame, format_: Format) -> Response:
    if format_ is Format.CSV:
        return Response(table.to_csv(index=False), media_type="text/csv")
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return Response(buffer.getvalue(), media_type="application/vnd.apache.parquet")
