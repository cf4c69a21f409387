"""`/v1/plan`: partition plans for a model in the device's present context."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from app.api.dependencies import PlansDep
from app.auth import require
from app.planning.plan import Plan, Stage
from app.schemas.plans import PlanAnswerOut, PlanRequest
from app.services.keys import Role
from app.services.plan import ModelToPlan, PlanAnswer, PlanQuestion

router = APIRouter(tags=["plans"], dependencies=[Depends(require(Role.SCHEDULER))])

JSON = "application/json"

_encode = msgspec.json.Encoder().encode


@router.post("/v1/plan", response_model=PlanAnswerOut)
@router.post("/plan", include_in_schema=False, response_model=PlanAnswerOut)
def post_plan(request: PlanRequest, plans: PlansDep) -> Response:
    """Answer ranked partition plans, each scored by the runtime and by the offline predictor."""
    question = PlanQuestion(
        models=[
            ModelToPlan(
                model.digest, model.deadline_us, model.period_us, model.release_us, tuple(model.after)
            )
            for model in request.models
        ],
        device_id=request.device_id,
        soc=request.soc,
        context=request.context,
        objective=request.objective,
        granularities=request.granularity or (),
        strategies=request.strategies or (),
        processors=request.processors or (),
        unsupported={name: support.unsupported for name, support in request.support.items()},
        memory_cap_bytes=request.memory_cap_bytes,
        max_share=request.max_share,
        budget_ms=request.budget_ms,
    )
    return _answer(plans.answer(question, request.model_dump(mode="json", exclude_unset=True)))


@router.get("/v1/plan", response_model=PlanAnswerOut)
@router.get("/plan", include_in_schema=False, response_model=PlanAnswerOut)
def get_plan(
    model: Annotated[str, Query(description="Digest of an uploaded model.")],
    device_id: Annotated[str, Query(description="Device to plan for, in its latest context.")],
    plans: PlansDep,
) -> Response:
    """Answer ranked partition plans of one model with every default."""
    request = {"models": [{"digest": model}], "device_id": device_id}
    return _answer(plans.answer(PlanQuestion([ModelToPlan(model)], device_id=device_id), request))


def _answer(answer: PlanAnswer) -> Response:
    body = {
        "plans": _plans(answer.plans),
        "context": answer.target.context,
        "predictors": {
            place.info.name: {
                "version": place.serving.version.digest,
                "framework": place.key.framework,
            }
            for place in answer.used
            if place.serving is not None
        },
        "unavailable": answer.unavailable,
        "recent_error": {side: error._asdict() for side, error in answer.recent_error.items()},
        "impossible": answer.impossible,
    }
    return Response(_encode(body), media_type=JSON)


def _plans(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    return [
        {
            **{name: getattr(plan, name) for name in plan.__dataclass_fields__},
            "stages": list(map(_stage, plan.stages)),
        }
        for plan in plans
    ]


def _stage(stage: Stage) -> dict[str, Any]:
    split = stage.split
    return {
        **{name: getattr(stage, name) for name in stage.__dataclass_fields__},
        "split": None if split is None else {"dimension": split.dimension, "range": [split.low, split.high]},
    }
