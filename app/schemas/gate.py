"""Wire types of `POST /v1/gate`."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.schemas.reports import Name
from app.services.gate import Verdict

LevelName = Literal["p50", "p75", "p90", "p95", "p99"]

LEVELS: dict[LevelName, float] = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}

LimitUs = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ModelIn(BaseModel):
    """A model that was uploaded to or reported to this service."""

    model_config = ConfigDict(extra="forbid")

    digest: Name


class GateRequest(BaseModel):
    """Which model must keep which limits where; a context replaces each device's latest."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: ModelIn
    limits_us: Annotated[dict[LevelName, LimitUs], Field(min_length=1)]
    device_ids: Annotated[list[Name], Field(max_length=1_000)] = []
    socs: Annotated[list[Name], Field(max_length=1_000)] = []
    processors: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = None
    context: dict[str, float | bool | None] | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.device_ids and not self.socs:
            raise ValueError("give at least one of `device_ids` and `socs`")
        return self


class ProcessorVerdictOut(BaseModel):
    """What one processor would do: the quantiles asked for, and why they prove too little, if so."""

    processor: str
    verdict: Verdict
    latency_us: dict[LevelName, float]
    reasons: list[str]


class PlaceVerdictOut(BaseModel):
    """The verdict on one device or SoC: that of its best processor."""

    device_id: str | None
    soc: str | None
    verdict: Verdict
    best: str | None
    processors: list[ProcessorVerdictOut]


class GateOut(BaseModel):
    """The worst verdict of all places, and each place's own."""

    verdict: Verdict
    limits_us: dict[LevelName, float]
    places: list[PlaceVerdictOut]
