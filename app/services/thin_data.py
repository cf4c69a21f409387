"""Where predictions rest on too little, and what to do about it."""

from collections.abc import Sequence

from app.services.coverage_parts import FALLBACK, LEARNED, ModelCoverage, OperatorType, Thin
from predictors.forecast import Rung
from predictors.thinness import too_few_runs
from predictors.version import PredictorVersion

ENOUGH_SAMPLES = 30
ENOUGH_INTERVALS = 100


def thin_places(
    version: PredictorVersion | None,
    models: Sequence[ModelCoverage],
    op_types: Sequence[OperatorType],
    intervals: int,
) -> list[Thin]:
    """Return what a processor's predictor knows too little of, the widest first."""
    if version is None:
        return [
            Thin(
                "processor",
                "",
                "no predictor was learned for it",
                "let its agent send calm runs (`socast agent`); until then the nearest processor serves",
            )
        ]
    found = []
    few = [too_few_runs(version, rung) for rung in (Rung.RUNTIME, Rung.CALM)]
    if any(few):
        found += [
            Thin("processor", "", because, "let its agent send more, in calm conditions first")
            for because in few
            if because is not None
        ]
    elif not version.calm_final:
        found.append(Thin("processor", "", "its calm profile is not complete", "send runs of an idle device"))
    found += [_thin_type(item) for item in op_types if _is_thin(item)]
    found += [thin for item in models if (thin := _thin_model(item)) is not None]
    if intervals < ENOUGH_INTERVALS:
        found.append(
            Thin(
                "intervals",
                "",
                f"only {intervals} runs tell how often they hold",
                f"wait for {ENOUGH_INTERVALS} scored runs",
            )
        )
    return found


def _is_thin(item: OperatorType) -> bool:
    return item.knowledge == FALLBACK or (item.knowledge == LEARNED and item.samples < ENOUGH_SAMPLES)


def _thin_type(item: OperatorType) -> Thin:
    if item.knowledge == FALLBACK:
        because = f"never timed here, {100 * item.time_share:.0f} % of the predicted time"
    else:
        because = f"only {item.samples} timings, none of these very shapes"
    return Thin("op_type", item.op_type, because, "profile a model with it in calm conditions")


def _thin_model(item: ModelCoverage) -> Thin | None:
    if item.mapping == "unknown":
        because, advice = "only timed as a whole", "profile it once, or post its file to /v1/models"
    elif not item.calm_profile:
        because, advice = "never ran in calm conditions here", "run it a few times on an idle device"
    else:
        return None
    return Thin("model", item.model.name, because, advice)
