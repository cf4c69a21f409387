"""`GET /v1/devices`: who has sent measurements, and how many."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.api.dependencies import DatabaseDep
from app.auth import require
from app.schemas.browse import DevicePage
from app.services import browse
from app.services.keys import Role

router = APIRouter(prefix="/v1", tags=["devices"], dependencies=[Depends(require(Role.ANALYST))])


@router.get("/devices")
def get_devices(
    database: DatabaseDep,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    soc: str | None = None,
) -> DevicePage:
    """Return devices in order of their ids, with exact counts of what is stored."""
    return browse.device_page(database, cursor=cursor, limit=limit, soc=soc)
