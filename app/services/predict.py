"""Predict one model or list of operators on one processor, offline and now."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from app.errors import Fault, InvalidRequestError
from app.schemas.predictions import PredictionRequestDecoded
from app.services.decoding import decode_envelope, decode_part
from app.services.operators import decode_operator
from app.services.shelf import Serving
from app.services.situations import Situation, Situations, Subject
from predictors.forecast import RunForecast, Rung
from predictors.graph import Operator
from predictors.run import PredictorKey, RunQuery
from predictors.thinness import cover

OFFLINE, RUNTIME = Rung.CALM, Rung.RUNTIME

MOST_AT_ONCE = 1_000
"""Kernels of the largest model that is predicted without leaving the event loop."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to predict: a subject, or operators instead of its model, in a context (None: the latest).

    `level` is the share of latencies that intervals are meant to hold, one of `INTERVALS`.
    """

    subject: Subject
    context: Mapping[str, float | bool | None] | None = None
    operators: tuple[Operator, ...] = ()
    level: float = 0.9


_requests = msgspec.json.Decoder(PredictionRequestDecoded)


def read_question(body: bytes) -> Question:
    """Decode a request; raise `MalformedBodyError` or `InvalidRequestError`."""
    request = decode_envelope(_requests.decode, body)
    faults: list[Fault] = []
    operators = [
        decode_part(decode_operator, raw, f"/operators/{index}", faults)
        for index, raw in enumerate(request.operators or ())
    ]
    if faults:
        raise InvalidRequestError(faults=tuple(faults))
    return Question(
        Subject(
            processor=request.processor,
            device_id=request.device_id,
            soc=request.soc,
            framework=request.framework,
            digest=None if request.model is None else request.model.digest,
        ),
        context=request.context,
        operators=tuple(filter(None, operators)),
        level=request.level,
    )


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

    def __init__(self, situations: Situations) -> None:
        self._situations = situations

    def predict_at_hand(self, question: Question) -> Prediction | None:
        """Predict a model that was asked about since anything changed, in well under a millisecond.

        Returns None where that needs the database or may take longer.
        """
        if question.subject.digest is None:
            return None
        situation = self._situations.at_hand(question.subject)
        if situation is None or len(situation.kernels) > MOST_AT_ONCE:
            return None
        return _predict(situation, question)

    def predict(self, question: Question) -> Prediction:
        """Forecast an unprofiled run that would start now.

        Raises `NotFoundError` (device or model unknown) or `InvalidRequestError` (processor).
        """
        return _predict(self._situations.look_up(question.subject), question)


def _predict(situation: Situation, question: Question) -> Prediction:
    place = situation.place
    context = situation.context
    if question.context is not None:
        context = {name: float(value) for name, value in question.context.items() if value is not None}
    query = RunQuery(
        key=place.key,
        device_id=situation.device_id,
        model=question.subject.digest or "",
        started_at_us=time.time_ns() // 1000,
        operators=question.operators or tuple(situation.kernels),
        context=context,
        profiled=False,
    )
    forecasts = place.serving.version.forecast(query, place.state, (OFFLINE, RUNTIME))
    version = place.serving.version
    forecasts = {
        rung: replace(found, coverage=cover(version, query, rung)) for rung, found in forecasts.items()
    }
    return Prediction(
        query.operators, forecasts, place.serving, context, situation.mapping, place.borrowed_from
    )
