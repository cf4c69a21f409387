"""`/`: the state of everything at one glance, and live."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from msgspec import json
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import DatabaseDep
from app.services import overview
from app.services.overview import Overview
from app.web import error_figures
from app.web.figures import Figure, picture_of
from app.web.formatting import count, percent
from app.web.rendering import page
from app.web.vega import PictureFormat
from app.web.viewer import AnalystDep

router = APIRouter(include_in_schema=False)

PICTURES = "/charts/overview"
LIVE_PAUSE_S = 1.0
PING_S = 15.0


@router.get("/")
def get_overview(request: Request, database: DatabaseDep, _: AnalystDep) -> Response:
    """Show the overview."""
    found = overview.get(database)
    return page(
        request,
        "overview.html",
        found=found,
        values=_values(found),
        charts=_figures(found),
    )


@router.get(PICTURES + "/{name}.{format_}")
def get_picture(
    name: str, format_: PictureFormat, database: DatabaseDep, _: AnalystDep, theme: str = "light"
) -> Response:
    """Answer a chart of the overview as a picture."""
    return picture_of(_figures(overview.get(database)), name, format_, dark=theme == "dark")


@router.get("/live/overview", response_class=EventSourceResponse)
async def watch_overview(
    request: Request, database: DatabaseDep, _: AnalystDep
) -> AsyncIterator[ServerSentEvent]:
    """Send the numbers and charts of the overview whenever something was stored or learned."""
    draining = request.app.state.draining
    seen: Any = None
    silent_s = 0.0
    while not draining.is_set():
        moved = await run_in_threadpool(overview.moved, database)
        if moved != seen:
            seen, silent_s = moved, 0.0
            yield ServerSentEvent(event="overview", raw_data=await run_in_threadpool(_event, database))
        elif silent_s >= PING_S:
            silent_s = 0.0
            yield ServerSentEvent(event="ping", raw_data="{}")
        await asyncio.sleep(LIVE_PAUSE_S)
        silent_s += LIVE_PAUSE_S


def _event(database: DatabaseDep) -> str:
    found = overview.get(database)
    charts = {figure.name: figure.spec for figure in _figures(found) if figure.rows}
    return json.encode({"values": _values(found), "charts": charts}).decode()


def _values(found: Overview) -> dict[str, str]:
    """Return the numbers that move, as text, by the name that the page knows them by."""
    rungs = found.overall
    sides = {
        name: rungs[rung] for name, rung in (("offline", "calm"), ("runtime", "runtime")) if rung in rungs
    }
    errors = {name: percent(side.median) for name, side in sides.items()}
    return {
        "devices": count(found.totals.devices),
        "runs": count(found.totals.runs),
        "timings": count(found.totals.timings),
        "rate": f"{found.runs_per_s:,.1f}",
        "pending": count(found.pending_runs),
        "serving": count(found.serving),
        "drifts": count(len(found.drifts)),
        "offline": errors.get("offline", "–"),
        "runtime": errors.get("runtime", "–"),
    }


def _figures(found: Overview) -> list[Figure]:
    return [
        error_figures.over_time(found.by_hour, PICTURES, {}),
        error_figures.contrast(found.by_condition, "by-condition", "condition", PICTURES, {}),
    ]
