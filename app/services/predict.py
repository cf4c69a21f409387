"""Predict one model or list of operators on one processor, offline and now."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.errors import NotFoundError
from app.services import targets
from app.services.kernels import KernelCache
from app.services.shelf import Serving, Shelf
from app.store.engine import Database
from predictors.forecast import Coverage, RunForecast, Rung
from predictors.graph import Operator
from predictors.run import PredictorKey, RunQuery

OFFLINE, RUNTIME = Rung.CALM, Rung.RUNTIME


class NothingLearnedError(NotFoundError):
    """No predictor has been learned for that processor yet."""

    title = "Nothing learned yet"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Both forecasts, what answered (`borrowed_from` another processor or not), and what it was told.

    `mapping` says where the kernels came from: reported runs, a framework's rules, or the request.
    """

    operators: Sequence[Operator]
    forecasts: Mapping[Rung, RunForecast]
    serving: Serving
    context: Mapping[str, float]
    mapping: str
    borrowed_from: PredictorKey | None


class PredictService:
    """Answers prediction requests."""

    def __init__(self, database: Database, shelf: Shelf, kernels: KernelCache) -> None:
        self._database = database
        self._shelf = shelf
        self._kernels = kernels

    def predict(
        self,
        *,
        processor: str,
        device_id: str | None = None,
        soc: str | None = None,
        framework: str | None = None,
        digest: str | None = None,
        operators: Sequence[Operator] | None = None,
        context: Mapping[str, float | bool] | None = None,
    ) -> Prediction:
        """Forecast an unprofiled run that would start now; give `digest` or `operators`.

        Raises `NotFoundError` (device, SoC, model or predictor unknown) or `InvalidRequestError`
        (processor).
        """
        with self._database.read() as connection:
            target = targets.resolve(
                connection, self._shelf, device_id=device_id, soc=soc, context=context, framework=framework
            )
            place = target.processor(processor)
            if place.serving is None:
                raise NothingLearnedError(
                    f"No predictor has been learned for {processor} of {target.soc} yet; "
                    "its agent must send calm runs first."
                )
            mapping = "request"
            if digest is not None:
                operators, mapping = self._kernels.kernels(
                    connection, digest, framework=place.key.framework, processor=processor
                )
        query = RunQuery(
            key=place.key,
            device_id=target.device_id,
            model=digest or "",
            started_at_us=time.time_ns() // 1000,
            operators=tuple(operators or ()),
            context=target.context,
            profiled=False,
        )
        forecasts = place.serving.version.forecast(query, place.state, (OFFLINE, RUNTIME))
        if place.borrowed_from is not None:
            types = tuple(sorted({operator.op_type for operator in query.operators}))
            nothing = Coverage(learned=0.0, fallback=types)
            forecasts = {rung: replace(found, coverage=nothing) for rung, found in forecasts.items()}
        return Prediction(
            query.operators, forecasts, place.serving, target.context, mapping, place.borrowed_from
        )
