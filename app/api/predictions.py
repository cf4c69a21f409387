"""`POST /v1/predictions`: how long would this take there, offline and now."""

from fastapi import APIRouter, Depends

from app.api.dependencies import DatabaseDep, ShelfDep
from app.auth import require
from app.schemas.predictions import (
    CoverageOut,
    ForecastOut,
    Interval,
    OperatorLatency,
    PredictionOut,
    PredictionRequest,
    PredictorOut,
    Quantiles,
)
from app.services.keys import Role
from app.services.predict import OFFLINE, RUNTIME, Prediction, predict
from predictors.forecast import Rung

router = APIRouter(
    prefix="/v1/predictions", tags=["predictions"], dependencies=[Depends(require(Role.SCHEDULER))]
)


@router.post("")
def post_predictions(request: PredictionRequest, database: DatabaseDep, shelf: ShelfDep) -> PredictionOut:
    """Forecast a run on one processor, by the frozen offline profile and by the runtime predictor."""
    prediction = predict(
        database,
        shelf,
        processor=request.processor,
        device_id=request.device_id,
        soc=request.soc,
        framework=request.framework,
        digest=None if request.model is None else request.model.digest,
        operators=None
        if request.operators is None
        else [operator.to_operator() for operator in request.operators],
        context=request.context,
    )
    return PredictionOut(
        offline=_forecast(prediction, OFFLINE),
        runtime=_forecast(prediction, RUNTIME),
        context=dict(prediction.context),
        mapping=prediction.mapping,
    )


def _forecast(prediction: Prediction, rung: Rung) -> ForecastOut:
    forecast = prediction.forecasts[rung]
    total = forecast.total
    latencies = forecast.operators_us.tolist()
    return ForecastOut(
        total_us=Quantiles(mean=total.mean_us, p50=total.p50_us, p90=total.p90_us, p99=total.p99_us),
        interval_us=Interval(low=total.low_us, high=total.high_us),
        operators=[
            OperatorLatency(op_type=operator.op_type, latency_us=latency)
            for operator, latency in zip(prediction.operators, latencies, strict=True)
        ],
        predictor=PredictorOut(version=prediction.serving.version.digest, kind=rung.value),
        coverage=CoverageOut(learned=forecast.coverage.learned, fallback=list(forecast.coverage.fallback)),
    )
