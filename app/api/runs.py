"""`GET /v1/runs`: what was measured, newest first."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from app.api.dependencies import DatabaseDep
from app.auth import require
from app.schemas.browse import RunPage
from app.services import browse
from app.services.keys import Role
from app.services.times import optional_unix_us
from app.store.runs import RunFilter

router = APIRouter(prefix="/v1", tags=["runs"], dependencies=[Depends(require(Role.ANALYST))])


@router.get("/runs", response_model_exclude_unset=True)
def get_runs(
    *,
    database: DatabaseDep,
    device_id: str | None = None,
    processor: str | None = None,
    model: Annotated[str | None, Query(description="name or digest")] = None,
    condition: str | None = None,
    since: Annotated[datetime | None, Query(description="started at or after")] = None,
    until: Annotated[datetime | None, Query(description="started before")] = None,
    include: Annotated[Literal["timings"] | None, Query(description="`timings` adds operators")] = None,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RunPage:
    """Return runs by any filter, newest start first."""
    wanted = RunFilter(
        device_id=device_id,
        processor=processor,
        model=model,
        condition=condition,
        since_us=optional_unix_us(since),
        until_us=optional_unix_us(until),
    )
    with_timings = include == "timings"
    return browse.run_page(database, wanted, cursor=cursor, limit=limit, with_timings=with_timings)
