"""`/v1/reports/drift` and `/v1/reports/coverage`: what befell the predictors, and what they know."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.api.dependencies import CoverageDep, DatabaseDep
from app.api.files import table_response
from app.auth import require
from app.schemas.reports import (
    CoverageQuery,
    CoverageReport,
    DriftEvent,
    DriftQuery,
    DriftReport,
    Format,
    ProcessorCoverageOut,
)
from app.services import coverage_table, drift_report
from app.services.coverage_report import CoverageFilter
from app.services.keys import Role
from app.services.times import optional_unix_us
from app.store.journal import EventFilter

router = APIRouter(prefix="/v1/reports", tags=["reports"], dependencies=[Depends(require(Role.ANALYST))])


@router.get("/drift", response_model=DriftReport)
def get_drift(database: DatabaseDep, query: Annotated[DriftQuery, Query()]) -> DriftReport | Response:
    """Answer drifts, refits, versions and devices set aside, newest first, and what came of each."""
    wanted = EventFilter(
        kind=query.kind,
        soc=query.soc,
        processor=query.processor,
        framework=query.framework,
        device_id=query.device_id,
        since_us=optional_unix_us(query.since),
        until_us=optional_unix_us(query.until),
    )
    if query.format is not Format.JSON:
        return table_response(drift_report.table(database, wanted), query.format, "drift")
    page = drift_report.page(database, wanted, cursor=query.cursor, limit=query.limit)
    return DriftReport(
        since=query.since,
        until=query.until,
        items=[DriftEvent.model_validate(drift_report.row(entry)) for entry in page.entries],
        next=page.next,
    )


@router.get("/coverage", response_model=CoverageReport)
def get_coverage(
    coverage: CoverageDep, query: Annotated[CoverageQuery, Query()]
) -> CoverageReport | Response:
    """Answer what each predictor knows of operators and models, and what should be profiled next."""
    wanted = CoverageFilter(
        soc=query.soc,
        processor=query.processor,
        framework=query.framework,
        device_id=query.device_id,
        model=query.model,
    )
    if query.format is not Format.JSON:
        return table_response(coverage_table.table(coverage, wanted), query.format, "coverage")
    page = coverage.page(wanted, cursor=query.cursor, limit=query.limit)
    return CoverageReport(
        items=[ProcessorCoverageOut.model_validate(coverage_table.as_json(item)) for item in page.processors],
        next=page.next,
    )
