"""`/v1/reports/regret`: what choosing plans by predictions costs, and what other choices would have."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api.dependencies import DatabaseDep
from app.api.files import table_response
from app.auth import require
from app.schemas.regret import RegretGroupOut, RegretQuery, RegretReportOut
from app.schemas.reports import Format
from app.services import grouping, regret_table
from app.services.keys import Role
from app.services.regret_report import DIMENSIONS, RegretFilter, regret
from app.services.times import optional_unix_us, ordered

router = APIRouter(prefix="/v1/reports", tags=["reports"], dependencies=[Depends(require(Role.ANALYST))])


@router.get("/regret", response_model=RegretReportOut)
def get_regret(database: DatabaseDep, query: Annotated[RegretQuery, Query()]) -> RegretReportOut | Response:
    """Answer predicted against measured latency of plans, their regret, and what exploring cost and tells."""
    since_us, until_us = optional_unix_us(query.since), optional_unix_us(query.until)
    ordered(since_us, until_us)
    group_by = grouping.dimensions(query.group_by, DIMENSIONS)
    wanted = RegretFilter(since_us, until_us, query.device_id, query.soc)
    report = regret(database, group_by, wanted)
    if query.format is not Format.JSON:
        return table_response(regret_table.table(report, group_by), query.format, "regret")
    return RegretReportOut(
        group_by=group_by,
        since=query.since,
        until=query.until,
        groups=[RegretGroupOut.model_validate(regret_table.as_json(group)) for group in report.groups],
        executions=report.executions,
        complete=report.complete,
    )
