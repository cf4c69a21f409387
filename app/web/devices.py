"""`/devices`: who measures, and everything about one device."""

from fastapi import APIRouter, Request, Response

from app.api.dependencies import DatabaseDep
from app.services import portraits
from app.services.portraits import DevicePortrait
from app.store import devices
from app.web import error_figures
from app.web.figures import Figure, picture_of
from app.web.filters import THEME, only
from app.web.rendering import page
from app.web.vega import PictureFormat
from app.web.viewer import AnalystDep

router = APIRouter(include_in_schema=False)

PICTURES = "/charts/devices"
SHOWN = 500


@router.get("/devices")
def get_devices(request: Request, database: DatabaseDep, _: AnalystDep) -> Response:
    """List devices, those heard of last first."""
    only(request, ())
    with database.read() as connection:
        found = devices.list_by_last_seen(connection, SHOWN)
    return page(request, "devices.html", devices=found, shown=SHOWN)


@router.get("/devices/{device_id:path}")
def get_device(request: Request, device_id: str, database: DatabaseDep, _: AnalystDep) -> Response:
    """Show everything about one device."""
    only(request, ())
    found = portraits.device(database, device_id)
    errors = error_figures.sides(found.errors.overall)
    return page(request, "device.html", found=found, errors=errors, charts=_figures(found))


@router.get(PICTURES + "/{name}.{format_}")
def get_picture(
    request: Request, name: str, format_: PictureFormat, device: str, database: DatabaseDep, _: AnalystDep
) -> Response:
    """Answer a chart of a device as a picture."""
    only(request, ("device", THEME))
    figures = _figures(portraits.device(database, device))
    return picture_of(figures, name, format_, dark=request.query_params.get(THEME) == "dark")


def _figures(found: DevicePortrait) -> list[Figure]:
    query = {"device": found.device.device_id}
    errors = found.errors
    return [
        error_figures.contrast(errors.by("condition"), "by-condition", "condition", PICTURES, query),
        error_figures.over_time(errors.by("hour"), PICTURES, query),
        error_figures.contrast(errors.by("processor"), "by-processor", "processor", PICTURES, query),
        error_figures.contrast(errors.by("model"), "by-model", "model", PICTURES, query),
    ]
