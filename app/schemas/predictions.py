"""Wire types of `POST /v1/predictions`."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from predictors.graph import AttributeValue, Operator

Dimension = Annotated[int, Field(ge=0, le=2**40)]
ContextIn = dict[str, float | bool]


class OperatorIn(BaseModel):
    """One operator or kernel by type, shapes, data type and attributes."""

    model_config = ConfigDict(extra="forbid")

    op_type: Annotated[str, Field(min_length=1, max_length=200)]
    inputs: list[list[Dimension]] = []
    outputs: list[list[Dimension]] = []
    dtype: str = "float32"
    attributes: dict[str, AttributeValue] = {}

    def to_operator(self) -> Operator:
        """Return the domain's operator."""
        return Operator(
            op_type=self.op_type,
            inputs=tuple(map(tuple, self.inputs)),
            outputs=tuple(map(tuple, self.outputs)),
            dtype=self.dtype,
            attributes=self.attributes,
        )


class ModelReference(BaseModel):
    """A model that was uploaded to or reported to this service."""

    model_config = ConfigDict(extra="forbid")

    digest: str


class PredictionRequest(BaseModel):
    """What to predict, where, and in which context (absent: the device's latest)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    soc: str | None = None
    device_id: str | None = None
    processor: str
    framework: str | None = None
    model: ModelReference | None = None
    operators: Annotated[list[OperatorIn], Field(max_length=20_000)] | None = None
    context: ContextIn | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.soc is None) == (self.device_id is None):
            raise ValueError("give exactly one of `device_id` and `soc`")
        if (self.model is None) == (self.operators is None):
            raise ValueError("give exactly one of `model` and `operators`")
        return self


class Quantiles(BaseModel):
    """A predicted latency distribution, in microseconds."""

    mean: float
    p50: float
    p90: float
    p99: float


class Interval(BaseModel):
    """A prediction interval, in microseconds, with the share of runs it is meant to hold."""

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
    """Share of operators whose type was learned here, and the types that fell back."""

    learned: float
    fallback: list[str]


class OperatorLatency(BaseModel):
    """Predicted mean latency of one operator, in execution order."""

    op_type: str
    latency_us: float


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
