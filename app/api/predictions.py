"""`POST /v1/predictions`: how long would this take there, offline and now."""

from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.bodies import read_message
from app.api.dependencies import PredictionsDep, SettingsDep
from app.api.documented import request_body
from app.auth import require
from app.schemas.predictions import PredictionOut, PredictionRequest
from app.services.keys import Role
from app.services.predict import OFFLINE, RUNTIME, Prediction, read_question
from predictors.conformal import ENDS, INTERVALS, LEVELS
from predictors.forecast import Coverage, Rung

router = APIRouter(
    prefix="/v1/predictions", tags=["predictions"], dependencies=[Depends(require(Role.SCHEDULER))]
)


MEDIAN = LEVELS.index(0.5)

_encode = msgspec.json.Encoder().encode


@router.post("", response_model=PredictionOut, openapi_extra=request_body(PredictionRequest))
async def post_predictions(request: Request, settings: SettingsDep, predictions: PredictionsDep) -> Response:
    """Forecast a run on one processor, by the frozen offline profile and by the runtime predictor."""
    sent = await read_message(request, settings)
    question = read_question(sent)
    prediction = predictions.predict_at_hand(question)
    if prediction is None:
        prediction = await run_in_threadpool(predictions.predict, question)
    body = {
        "offline": _forecast(prediction, OFFLINE, question.level),
        "runtime": _forecast(prediction, RUNTIME, question.level),
        "context": prediction.context,
        "mapping": prediction.mapping,
    }
    return Response(_encode(body), media_type="application/json")


def _forecast(prediction: Prediction, rung: Rung, level: float) -> dict[str, Any]:
    forecast = prediction.forecasts[rung]
    total = forecast.total
    low, high = ENDS[INTERVALS.index(level)]
    return {
        "total_us": {"mean": total.mean_us, "p50": total.p50_us, "p90": total.p90_us, "p99": total.p99_us},
        "interval_us": _interval(level, *total.interval_us(level)),
        "operators": [
            {
                "op_type": operator.op_type,
                "latency_us": mean_us,
                "p50_us": quantiles_us[MEDIAN],
                "interval_us": _interval(level, quantiles_us[low], quantiles_us[high]),
            }
            for operator, mean_us, quantiles_us in zip(
                prediction.operators,
                forecast.operators_us.tolist(),
                forecast.operator_quantiles_us().tolist(),
                strict=True,
            )
        ],
        "predictor": {
            "version": prediction.serving.version.digest,
            "kind": rung.value,
            "borrowed_from": None if prediction.borrowed_from is None else str(prediction.borrowed_from),
        },
        "coverage": coverage_out(forecast.coverage),
    }


def coverage_out(coverage: Coverage) -> dict[str, Any]:
    """Return what an answer rests on as the wire writes it."""
    return {
        "learned": coverage.learned,
        "fallback": coverage.fallback,
        "too_thin": coverage.too_thin,
        "reasons": coverage.reasons,
    }


def _interval(level: float, low_us: float, high_us: float) -> dict[str, float]:
    return {"level": level, "low": low_us, "high": high_us}
