"""`/predictors`: versions, how well they did, why each was fitted; pin one or take one back."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import DatabaseDep
from app.errors import Fault, InvalidRequestError, NotFoundError
from app.services import predictors
from app.store import journal
from app.store.engine import Database
from app.store.journal import EventFilter
from app.store.versions import VersionInfo
from app.web.error_figures import NAMES, SIDES
from app.web.figures import Figure, picture_of
from app.web.filters import THEME, only
from app.web.formatting import count, percent
from app.web.rendering import address, page
from app.web.session import form
from app.web.vega import PictureFormat
from app.web.viewer import AdminDep, AnalystDep
from predictors.run import PredictorKey

router = APIRouter(include_in_schema=False)

PICTURES = "/charts/predictors"
KEY = ("soc", "processor", "framework")
CHANGED = "changed"
SHOWN_EVENTS = 20
SHOWN_FEATURES = 14
SHOWN_VERSIONS = 60
FEATURE_PX = 24


@router.get("/predictors")
def get_predictors(request: Request, database: DatabaseDep, _: AnalystDep) -> Response:
    """Show all predictors, and everything about the chosen one."""
    only(request, (*KEY, CHANGED))
    known = predictors.list_versions(database)
    key = _key(request, known)
    own = [version for version in known if version.key == key]
    serving = [version for version in known if version.active]
    serves = next((version for version in serving if version.key == key), None)
    return page(
        request,
        "predictors.html",
        serving=serving,
        serves=serves,
        thin={version.id: predictors.thin_because(version) for version in serving},
        price=None if serves is None else predictors.profiling_price(serves),
        counts={other: sum(version.key == other for version in known) for other in {v.key for v in known}},
        key=key,
        versions=own[:SHOWN_VERSIONS],
        more=max(len(own) - SHOWN_VERSIONS, 0),
        revision=predictors.revision(database, key) if key else 0,
        events=_events(database, key),
        charts=_figures(database, key, own),
        done=_changed(request.query_params.get(CHANGED, ""), own),
    )


@router.get(PICTURES + "/{name}.{format_}")
def get_picture(
    request: Request, name: str, format_: PictureFormat, database: DatabaseDep, _: AnalystDep
) -> Response:
    """Answer a chart of the page as a picture."""
    only(request, (*KEY, THEME))
    known = predictors.list_versions(database)
    key = _key(request, known)
    figures = _figures(database, key, [version for version in known if version.key == key])
    return picture_of(figures, name, format_, dark=request.query_params.get(THEME) == "dark")


@router.post("/predictors/{version_id}/pin")
async def post_pin(request: Request, version_id: int, database: DatabaseDep, _: AdminDep) -> Response:
    """Keep a version serving, unless somebody else decided meanwhile."""
    expected = await _expected(request)
    info = await run_in_threadpool(predictors.pin, database, version_id, expected=expected)
    return _back(info, version_id)


@router.post("/predictors/{version_id}/rollback")
async def post_rollback(request: Request, version_id: int, database: DatabaseDep, _: AdminDep) -> Response:
    """Withdraw a version, unless somebody else decided meanwhile."""
    expected = await _expected(request)
    instead = await run_in_threadpool(predictors.roll_back, database, version_id, expected=expected)
    return _back(instead, version_id)


async def _expected(request: Request) -> int:
    text = (await form(request)).get("revision", "")
    if not text.isdigit():
        detail = "The form lacks its revision; open the page of the predictor again."
        raise InvalidRequestError(detail, faults=(Fault("/revision", detail),))
    return int(text)


def _back(info: VersionInfo, changed: int) -> Response:
    key = dict(zip(KEY, (info.key.soc, info.key.processor, info.key.framework), strict=True))
    return RedirectResponse(address("/predictors", **key, changed=changed), status_code=303)


def _changed(number: str, own: Sequence[VersionInfo]) -> str:
    """Return what was done to a version, as it shows in the versions themselves."""
    changed = next((version for version in own if str(version.id) == number), None)
    serving = next((version for version in own if version.active), None)
    if changed is None or serving is None:
        return ""
    if changed.pinned:
        return f"Version {changed.id} is pinned and serves."
    return f"Version {changed.id} is withdrawn; version {serving.id} serves." if changed.rolled_back else ""


def _key(request: Request, known: Sequence[VersionInfo]) -> PredictorKey | None:
    """Return the predictor that the address names, else the newest one."""
    if not any(name in request.query_params for name in KEY):
        return known[0].key if known else None
    key = PredictorKey(*(request.query_params.get(name, "") for name in KEY))
    if not any(version.key == key for version in known):
        raise NotFoundError(f"There is no predictor for {key}; it has not been learned yet.")
    return key


def _events(database: Database, key: PredictorKey | None) -> list[journal.Event]:
    if key is None:
        return []
    wanted = EventFilter(soc=key.soc, processor=key.processor, framework=key.framework)
    with database.read() as connection:
        return journal.list_events(connection, wanted, limit=SHOWN_EVENTS)


def _figures(database: Database, key: PredictorKey | None, own: Sequence[VersionInfo]) -> list[Figure]:
    if key is None:
        return []
    query = dict(zip(KEY, (key.soc, key.processor, key.framework), strict=True))
    serving = next((version for version in own if version.active), None)
    figures = [_accuracy(database, own, query)]
    if serving is not None:
        figures.append(_importance(database, serving, query))
    return figures


def _accuracy(database: Database, own: Sequence[VersionInfo], query: Mapping[str, Any]) -> Figure:
    served = predictors.served(database, [version.digest for version in own])
    rows: list[dict[str, Any]] = [
        {"version": version.id, "rung": NAMES[rung], "n": n, "error": error, "reason": version.reason}
        for version in reversed(own)
        for rung in SIDES
        if version.digest in served[rung]
        for n, error in [served[rung][version.digest]]
    ]
    return Figure(
        name="accuracy",
        chart="version-accuracy",
        title="Accuracy over time",
        summary="Mean absolute error of the runs that each version predicted, and the offline profile's on "
        "the same runs.",
        rows=rows,
        head=("Version", "Predictor", "Runs", "Mean error", "Fitted because of"),
        body=[
            (str(row["version"]), row["rung"], count(row["n"]), percent(row["error"]), row["reason"])
            for row in rows
        ],
        picture=PICTURES,
        query=query,
    )


def _importance(database: Database, serving: VersionInfo, query: Mapping[str, Any]) -> Figure:
    found = predictors.importances(database, serving.id)[:SHOWN_FEATURES]
    rows = [{"feature": name.replace("_", " "), "share": share} for name, share in found]
    return Figure(
        name="importance",
        chart="feature-importance",
        title="What it looks at",
        summary=f"The features that the trees of version {serving.id}, which serves, gain most from.",
        rows=rows,
        head=("Feature", "Share of the gain"),
        body=[(name.replace("_", " "), percent(share)) for name, share in found],
        picture=PICTURES,
        query=query,
        height_px=max(len(rows), 1) * FEATURE_PX,
    )
