"""`/errors`: how wrong, where, since when; every filter stands in the address."""

import io
from typing import Literal

from fastapi import APIRouter, Request, Response

from app.api.dependencies import DatabaseDep
from app.services import error_views
from app.services.error_views import ErrorView
from app.store.engine import Database
from app.store.rollup_views import Level
from app.web import error_figures, filters
from app.web.figures import Figure, picture_of
from app.web.filters import chosen, error_filter
from app.web.rendering import page
from app.web.vega import PictureFormat
from app.web.viewer import AnalystDep

router = APIRouter(include_in_schema=False)

PICTURES = "/charts/errors"
BY_LEVEL = ("condition", "processor", "model", "hour")
LABELS = {
    "device": "Device",
    "processor": "Processor",
    "condition": "Condition",
    "model": "Model",
    "op_type": "Operator kind",
}


@router.get("/errors")
def get_errors(request: Request, database: DatabaseDep, _: AnalystDep) -> Response:
    """Show the contrast of offline and runtime."""
    view = _view(database, request)
    with database.read() as connection:
        names = error_views.names(connection)
    return page(
        request,
        "errors.html",
        labels=LABELS,
        names=names,
        chosen=chosen(request),
        overall=error_figures.sides(view.overall),
        level=_level(request),
        charts=_figures(view, request),
        any_errors=bool(names[error_views.KIND] or view.overall or chosen(request)),
    )


@router.get("/errors/rows.{format_}")
def get_rows(
    request: Request, format_: Literal["csv", "json", "parquet"], database: DatabaseDep, _: AnalystDep
) -> Response:
    """Answer what the page shows as a file: a line a condition, processor, model, level and rung."""
    with database.read() as connection:
        rows = error_views.rows(connection, error_filter(request), ("condition", "processor", "model"))
    import pandas as pd  # Half a second of processor time, for files alone.

    table = pd.DataFrame(rows)
    headers = {"Content-Disposition": f'attachment; filename="socast-errors.{format_}"'}
    if format_ == "csv":
        return Response(table.to_csv(index=False), media_type="text/csv", headers=headers)
    if format_ == "json":
        text = table.to_json(orient="records", force_ascii=False)
        return Response(text, media_type="application/json", headers=headers)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return Response(buffer.getvalue(), media_type="application/vnd.apache.parquet", headers=headers)


@router.get(PICTURES + "/{name}.{format_}")
def get_picture(
    request: Request, name: str, format_: PictureFormat, database: DatabaseDep, _: AnalystDep
) -> Response:
    """Answer a chart of the page as a picture."""
    figures = _figures(_view(database, request), request)
    return picture_of(figures, name, format_, dark=request.query_params.get(filters.THEME) == "dark")


def _view(database: Database, request: Request) -> ErrorView:
    wanted = error_filter(request)
    with database.read() as connection:
        return ErrorView(connection, wanted, BY_LEVEL, level=_level(request), kinds=True)


def _level(request: Request) -> Level:
    return "operator" if request.query_params.get("op_type", "").strip() else "run"


def _figures(view: ErrorView, request: Request) -> list[Figure]:
    """Return the charts; with an operator kind chosen they count operators, which have no intervals."""
    query, level = chosen(request), _level(request)
    noun = "runs" if level == "run" else "operators"
    by_condition = view.by("condition")
    processors, models, kinds = [
        error_figures.contrast(view.by(dimension), f"by-{name}", what, PICTURES, query, noun=many)
        for dimension, name, what, many in (
            ("processor", "processor", "processor", noun),
            ("model", "model", "model", noun),
            (error_views.KIND, "operator", "operator kind", "operators"),
        )
    ]
    first = error_figures.contrast(by_condition, "by-condition", "condition", PICTURES, query, noun=noun)
    everything = [
        first,
        error_figures.cumulative(view.overall, PICTURES, query),
        processors,
        error_figures.coverage(by_condition, PICTURES, query),
        models,
        error_figures.over_time(view.by("hour"), PICTURES, query),
        kinds,
    ]
    return [figure for figure in everything if figure.name != "coverage" or level == "run"]
