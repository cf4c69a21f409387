"""Wire types of `POST /v1/predictions`."""

from typing import Annotated

from msgspec import Meta, Raw, Struct
from pydantic import BaseModel

from app.schemas.measurements import ContextFields, Operator
from predictors.conformal import INTERVALS

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ModelReference(Struct, forbid_unknown_fields=True):
    """A model that was uploaded to or reported to this service."""

    digest: Name


class _RequestFields(Struct, kw_only=True, forbid_unknown_fields=True):
    soc: Name | None = None
    device_id: Name | None = None
    processor: Name
    framework: Name | None = None
    model: ModelReference | None = None
    context: ContextFields | None = None
    level: Annotated[float, Meta(extra_json_schema={"enum": list(INTERVALS)})] = 0.9

    def __post_init__(self) -> None:
        if self.level not in INTERVALS:
            raise ValueError(f"`level` must be one of {', '.join(map(str, INTERVALS))}")
        if (self.soc is None) == (self.device_id is None):
            raise ValueError("give exactly one of `device_id` and `soc`")


class PredictionRequest(_RequestFields, kw_only=True, forbid_unknown_fields=True):
    """What to predict, where, in which context (absent: the latest), with intervals of what level."""

    operators: Annotated[list[Operator], Meta(max_length=20_000)] | None = None


class PredictionRequestDecoded(_RequestFields, kw_only=True, forbid_unknown_fields=True):
    """A request as the server decodes it: each operator by itself."""

    operators: Annotated[list[Raw], Meta(max_length=20_000)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.model is None) == (self.operators is None):
            raise ValueError("give exactly one of `model` and `operators`")


class Quantiles(BaseModel):
    """A predicted latency distribution, in microseconds."""

    mean: float
    p50: float
    p90: float
    p99: float


class Interval(BaseModel):
    """A prediction interval, in microseconds, with the share of latencies it is meant to hold."""

    level: float = 0.9
    low: float
    high: float


class PredictorOut(BaseModel):
    """Which version of which rung answered.

    `borrowed_from` names the nearest known processor where nothing was learned for the one asked about.
    """

    version: str
    kind: str
    borrowed_from: str | None


class CoverageOut(BaseModel):
    """Share of operators whose type was learned here, and the types that fell back.

    `too_thin` says that too little was learned to rely on the answer, `reasons` why.
    """

    learned: float
    fallback: list[str]
    too_thin: bool
    reasons: list[str]


class OperatorLatency(BaseModel):
    """Predicted latency of one operator, in execution order: its mean (means add up), median and interval."""

    op_type: str
    latency_us: float
    p50_us: float
    interval_us: Interval


class ForecastOut(BaseModel):
    """The forecast of one predictor."""

    total_us: Quantiles
    interval_us: Interval
    operators: list[OperatorLatency]
    predictor: PredictorOut
    coverage: CoverageOut


class PredictionOut(BaseModel):
    """What the frozen offline profile says, and what the runtime predictor says."""

    offline: ForecastOut
    runtime: ForecastOut
    context: dict[str, float]
    mapping: str
