"""Judge whether a model holds its latency limits on some devices, as far as the predictors can tell.

Three answers, so that no pipeline takes a guess for a promise: `pass`, `fail`, and `too_thin` where the
prediction rests on too little to say (`predictors.thinness`). A device passes where at least one of its
processors does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.errors import NotFoundError
from app.services import targets
from app.services.predict import RUNTIME, PredictService, Question
from app.services.shelf import Shelf
from app.services.situations import Subject
from app.services.targets import Processor
from app.store.engine import Database
from predictors.conformal import LEVELS


class Verdict(StrEnum):
    """What can be said of the limits."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    TOO_THIN = "too_thin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: a device as it stands now, or a SoC as such."""

    device_id: str | None = None
    soc: str | None = None


@dataclass(frozen=True, slots=True)
class GateQuestion:
    """What to judge: limits by quantile level (`{0.95: 33_000.0}`, in microseconds), one for all places.

    `processors` narrows them by name; a context replaces each device's latest.
    """

    digest: str
    limits_us: Mapping[float, float]
    places: Sequence[Place]
    processors: Sequence[str] | None = None
    context: Mapping[str, float | bool | None] | None = None


@dataclass(frozen=True, slots=True)
class ProcessorVerdict:
    """What one processor would do: its quantiles by level, and why these prove too little, if so."""

    processor: str
    verdict: Verdict
    latency_us: Mapping[float, float]
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlaceVerdict:
    """What can be said of one place; `best` is the processor that decided, None without any."""

    place: Place
    verdict: Verdict
    best: str | None
    processors: Sequence[ProcessorVerdict]


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """The verdict of the worst place, and that of each."""

    verdict: Verdict
    places: Sequence[PlaceVerdict]


class GateService:
    """Judges models by what the runtime predictors foresee."""

    def __init__(self, database: Database, shelf: Shelf, predictions: PredictService) -> None:
        self._database = database
        self._shelf = shelf
        self._predictions = predictions

    def judge(self, question: GateQuestion) -> GateAnswer:
        """Return the verdict; raise `NotFoundError` for an unknown model, device or SoC."""
        found = [self._place(question, place) for place in question.places]
        return GateAnswer(_worst([item.verdict for item in found]), found)

    def _place(self, question: GateQuestion, place: Place) -> PlaceVerdict:
        with self._database.read() as connection:
            target = targets.resolve(
                connection, self._shelf, device_id=place.device_id, soc=place.soc, context={}
            )
        asked = question.processors
        known = [item for item in target.processors if asked is None or item.info.name in asked]
        if not known:
            names = ", ".join(item.info.name for item in target.processors) or "none yet"
            raise NotFoundError(
                f"{place.device_id or place.soc} has none of the processors asked for; it has {names}."
            )
        judged = [self._processor(question, place, item) for item in known]
        verdict = _best([item.verdict for item in judged])
        deciding = [item for item in judged if item.verdict is verdict and item.latency_us]
        best = min(deciding, key=lambda item: _tightness(item, question.limits_us), default=None)
        return PlaceVerdict(place, verdict, None if best is None else best.processor, judged)

    def _processor(self, question: GateQuestion, place: Place, processor: Processor) -> ProcessorVerdict:
        name = processor.info.name
        subject = Subject(name, device_id=place.device_id, soc=place.soc, digest=question.digest)
        prediction = self._predictions.predict(Question(subject, context=question.context))
        quantiles_us = prediction.forecasts[RUNTIME].total.quantiles_us
        latency_us = {level: quantiles_us[LEVELS.index(level)] for level in sorted(question.limits_us)}
        unsupported = sorted(
            {operator.op_type for operator in prediction.operators} & set(processor.info.unsupported)
        )
        if unsupported:
            return ProcessorVerdict(name, Verdict.FAIL, latency_us, [f"cannot run {', '.join(unsupported)}"])
        reasons = prediction.forecasts[RUNTIME].coverage.reasons
        if reasons:
            return ProcessorVerdict(name, Verdict.TOO_THIN, latency_us, reasons)
        holds = all(latency_us[level] <= limit for level, limit in question.limits_us.items())
        return ProcessorVerdict(name, Verdict.PASS if holds else Verdict.FAIL, latency_us, [])


def _best(verdicts: Sequence[Verdict]) -> Verdict:
    for wanted in (Verdict.PASS, Verdict.TOO_THIN):
        if wanted in verdicts:
            return wanted
    return Verdict.FAIL


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for wanted in (Verdict.FAIL, Verdict.TOO_THIN):
        if wanted in verdicts:
            return wanted
    return Verdict.PASS


def _tightness(item: ProcessorVerdict, limits_us: Mapping[float, float]) -> float:
    """Return the largest share of a limit that is used up."""
    return max(item.latency_us[level] / limit for level, limit in limits_us.items())
