"""`/models`: what runs, and everything about one model."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.dependencies import DatabaseDep, PredictionsDep
from app.services import portraits
from app.services.portraits import ModelPortrait
from app.services.predict import OFFLINE, RUNTIME
from app.web import error_figures, plan_figures
from app.web.error_figures import UNNAMED
from app.web.figures import Figure, picture_of
from app.web.filters import THEME, only
from app.web.formatting import count, latency
from app.web.rendering import page
from app.web.vega import PictureFormat
from app.web.viewer import AnalystDep

router = APIRouter(include_in_schema=False)

PICTURES = "/charts/models"
PLACE_PX = 30


@router.get("/models")
def get_models(request: Request, database: DatabaseDep, _: AnalystDep) -> Response:
    """List models: uploaded files, and those that runs name."""
    only(request, ())
    return page(request, "models.html", models=portraits.known_models(database))


@router.get("/models/{digest}")
def get_model(
    request: Request, digest: str, database: DatabaseDep, predictions: PredictionsDep, _: AnalystDep
) -> Response:
    """Show everything about one model."""
    only(request, ())
    found = portraits.model(database, predictions, digest)
    return page(request, "model.html", found=found, offline=OFFLINE, runtime=RUNTIME, charts=_figures(found))


@router.get(PICTURES + "/{name}.{format_}")
def get_picture(
    request: Request,
    name: str,
    format_: PictureFormat,
    model: str,
    database: DatabaseDep,
    predictions: PredictionsDep,
    _: AnalystDep,
) -> Response:
    """Answer a chart of a model as a picture."""
    only(request, ("model", THEME))
    figures = _figures(portraits.model(database, predictions, model))
    return picture_of(figures, name, format_, dark=request.query_params.get(THEME) == "dark")


def _figures(found: ModelPortrait) -> list[Figure]:
    query = {"model": found.digest}
    errors = found.errors
    figures = [
        _latencies(found, query),
        error_figures.contrast(errors.by("condition"), "by-condition", "condition", PICTURES, query),
    ]
    if found.predictions:
        place, prediction = found.predictions[0]
        figures.append(plan_figures.kinds(prediction, place, PICTURES, query))
    figures.append(
        error_figures.contrast(errors.by("processor"), "by-processor", "processor", PICTURES, query)
    )
    return figures


def _latencies(found: ModelPortrait, query: dict[str, Any]) -> Figure:
    places: dict[tuple[str, str], list[float]] = {}
    rows: list[dict[str, Any]] = []
    for run in found.runs:
        place = f"{run.device_id} · {run.processor}"
        condition = run.condition or UNNAMED
        places.setdefault((place, condition), []).append(run.total_us)
        rows.append({"place": place, "condition": condition, "ms": run.total_us / 1e3})
    rows.sort(key=lambda row: (row["place"], row["condition"]))
    body = [
        (
            place,
            condition,
            count(len(values)),
            latency(sorted(values)[len(values) // 2]),
            latency(max(values)),
        )
        for (place, condition), values in sorted(places.items())
    ]
    return Figure(
        name="latencies",
        chart="latencies",
        title="Measured lately",
        summary=f"The newest {len(rows)} runs by processor and condition; a dot is a run.",
        rows=rows,
        head=("Where", "Condition", "Runs", "Median", "Longest"),
        body=body,
        picture=PICTURES,
        query=query,
        height_px=max(len({row["place"] for row in rows}), 1) * PLACE_PX + 20,
    )
