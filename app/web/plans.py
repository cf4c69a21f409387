"""`/plans`: what would the scheduler do, now and in another context, offline against runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.api.dependencies import DatabaseDep, PlansDep
from app.errors import Fault, InvalidRequestError
from app.planning.plan import Plan
from app.services import what_if
from app.services.keys import Principal, Role
from app.services.plan import ModelToPlan, PlanAnswer, PlanQuestion, PlanService
from app.services.what_if import Knob
from app.store import devices, models
from app.store.engine import Database
from app.web import plan_figures
from app.web.figures import Figure, picture_of
from app.web.filters import THEME, only
from app.web.rendering import page
from app.web.vega import PictureFormat
from app.web.viewer import viewer

router = APIRouter(include_in_schema=False)

PlannerDep = Annotated[Principal, Depends(viewer(Role.ANALYST, Role.SCHEDULER))]

OBJECTIVES = ("mean", "p90", "p99")
KNOBS = ("load", "temperature", "cache")
KNOWN = ("model", "device", "objective", "show", *KNOBS)
MOST_LISTED = 500


@dataclass(frozen=True)
class Asked:
    """A question with its answers: in the context asked about, and in the device's latest one."""

    answer: PlanAnswer
    now: PlanAnswer
    knobs: list[Knob]
    settings: Mapping[str, float]
    shown: Plan | None

    @property
    def changed(self) -> bool:
        """Whether the context asked about is another than the latest."""
        return bool(self.settings)

    @property
    def now_us(self) -> dict[str, float]:
        """Mean latency of each plan in the latest context, by the plan's label."""
        return {plan_figures.label(plan): plan.latency_us.mean for plan in self.now.plans}


@router.get("/plans")
def get_plans(request: Request, database: DatabaseDep, plans: PlansDep, _: PlannerDep) -> Response:
    """Show the form and, once a model and a device are chosen, ranked plans."""
    only(request, KNOWN)
    with database.read() as connection:
        known_models = models.list_graphs(connection)
        known_devices = devices.list_by_last_seen(connection, MOST_LISTED)
    chosen = _chosen(request)
    asked = _ask(database, plans, chosen)
    return page(
        request,
        "plans.html",
        models=known_models,
        devices=[device.device_id for device in known_devices],
        objectives=OBJECTIVES,
        chosen=chosen,
        asked=asked,
        label=plan_figures.label,
        charts=_figures(asked, chosen),
        max_model_bytes=request.app.state.settings.max_model_bytes,
    )


@router.get(plan_figures.PICTURES + "/{name}.{format_}")
def get_picture(
    request: Request, name: str, format_: PictureFormat, database: DatabaseDep, plans: PlansDep, _: PlannerDep
) -> Response:
    """Answer a chart of the page as a picture."""
    only(request, (*KNOWN, THEME))
    chosen = _chosen(request)
    figures = _figures(_ask(database, plans, chosen), chosen)
    return picture_of(figures, name, format_, dark=request.query_params.get(THEME) == "dark")


def _chosen(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.query_params.items() if name in KNOWN and value.strip()}


def _ask(database: Database, plans: PlanService, chosen: Mapping[str, str]) -> Asked | None:
    """Plan twice, in the latest context and in the one asked about; None before both choices are made."""
    if not {"model", "device"} <= chosen.keys():
        return None
    objective = chosen.get("objective", "mean")
    if objective not in OBJECTIVES:
        raise _fault(
            "objective", f"There is no objective {objective[:60]!r}; there are {', '.join(OBJECTIVES)}."
        )
    question = PlanQuestion(
        [ModelToPlan(chosen["model"])],
        device_id=chosen["device"],
        objective=objective,  # type: ignore[arg-type]
    )
    now = plans.preview(question)
    with database.read() as connection:
        seen = what_if.seen_contexts(connection, chosen["device"])
    knobs = what_if.knobs(seen, now.target.context)
    settings = _settings(knobs, chosen)
    answer = now
    if settings:
        context = what_if.imagined(seen, now.target.context, settings)
        answer = plans.preview(replace(question, context=context))
    return Asked(answer, now, knobs, settings, _shown(answer, chosen.get("show", "")))


def _settings(knobs: list[Knob], chosen: Mapping[str, str]) -> dict[str, float]:
    """Return the values of the sliders that were moved away from the present, by sensor."""
    wanted = {}
    for knob in knobs:
        if knob.field is None or knob.name not in chosen:
            continue
        try:
            value = float(chosen[knob.name])
        except ValueError as error:
            raise _fault(knob.name, f"`{knob.name}` must be a number.") from error
        if not knob.low - 1e-6 <= value <= knob.high + 1e-6:
            raise _fault(knob.name, f"`{knob.name}` was seen between {knob.low:g} and {knob.high:g} only.")
        if abs(value - knob.now) > (knob.high - knob.low) / 200:
            wanted[knob.field] = value
    return wanted


def _shown(answer: PlanAnswer, number: str) -> Plan | None:
    place = int(number) - 1 if number.isdigit() else 0
    return answer.plans[min(place, len(answer.plans) - 1)] if answer.plans else None


def _figures(asked: Asked | None, chosen: Mapping[str, Any]) -> list[Figure]:
    if asked is None or asked.shown is None:
        return []
    return [
        plan_figures.timeline(asked.shown, chosen),
        plan_figures.usage(asked.shown, chosen),
        plan_figures.promises(asked.answer.plans, asked.now_us if asked.changed else {}, chosen),
    ]


def _fault(name: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(detail, faults=(Fault(f"/query/{name}", detail),))
