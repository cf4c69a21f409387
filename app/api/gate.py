"""`POST /v1/gate`: whether a model holds its latency limits on some devices."""

from fastapi import APIRouter, Depends

from app.api.dependencies import GateDep
from app.auth import require
from app.schemas.gate import LEVELS, GateOut, GateRequest, LevelName, PlaceVerdictOut, ProcessorVerdictOut
from app.services.gate import GateQuestion, Place, PlaceVerdict
from app.services.keys import Role

router = APIRouter(
    prefix="/v1/gate", tags=["gate"], dependencies=[Depends(require(Role.SCHEDULER, Role.ANALYST))]
)

_NAMES: dict[float, LevelName] = {level: name for name, level in LEVELS.items()}


@router.post("")
def post_gate(gate: GateDep, request: GateRequest) -> GateOut:
    """Answer pass, fail or too thin to say, by the runtime predictors' quantiles."""
    answer = gate.judge(
        GateQuestion(
            digest=request.model.digest,
            limits_us={LEVELS[name]: limit for name, limit in request.limits_us.items()},
            places=[
                *(Place(device_id=name) for name in dict.fromkeys(request.device_ids)),
                *(Place(soc=name) for name in dict.fromkeys(request.socs)),
            ],
            processors=request.processors,
            context=request.context,
        )
    )
    return GateOut(
        verdict=answer.verdict, limits_us=request.limits_us, places=list(map(_place, answer.places))
    )


def _place(item: PlaceVerdict) -> PlaceVerdictOut:
    return PlaceVerdictOut(
        device_id=item.place.device_id,
        soc=item.place.soc,
        verdict=item.verdict,
        best=item.best,
        processors=[
            ProcessorVerdictOut(
                processor=own.processor,
                verdict=own.verdict,
                latency_us={_NAMES[level]: latency for level, latency in own.latency_us.items()},
                reasons=list(own.reasons),
            )
            for own in item.processors
        ],
    )
