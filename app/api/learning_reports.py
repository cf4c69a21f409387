"""What befell the predictors, why they missed, and what they know: `/v1/reports/drift|misses|coverage`."""

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
    MissGroupOut,
    MissQuery,
    MissReportOut,
    ProcessorCoverageOut,
)
from app.services import coverage_table, drift_report, grouping, miss_report
from app.services.coverage_report import CoverageFilter
from app.services.keys import Role
from app.services.times import optional_unix_us
from app.store.journal import EventFilter
from app.store.runs import RunFilter

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


@router.get("/misses", response_model=MissReportOut)
def get_misses(database: DatabaseDep, query: Annotated[MissQuery, Query()]) -> MissReportOut | Response:
    """Answer why runs were missed: the parts of their error, and what should be profiled next."""
    group_by = grouping.dimensions(query.group_by, miss_report.DIMENSIONS)
    wanted = RunFilter(
        run_id=query.run_id,
        soc=query.soc,
        device_id=query.device_id,
        processor=query.processor,
        model=query.model,
        condition=query.condition,
        since_us=optional_unix_us(query.since),
        until_us=optional_unix_us(query.until),
    )
    found = miss_report.misses(database, group_by, wanted, limit=query.limit)
    if query.format is not Format.JSON:
        return table_response(miss_report.table(found, group_by), query.format, "misses")
    return MissReportOut(
        group_by=group_by,
        groups=[MissGroupOut.model_validate(miss_report.as_json(item)) for item in found.groups],
        runs=found.runs,
        left_out=found.left_out,
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
