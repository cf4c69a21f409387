"""Wire types of `/v1/plan`; the planner's own records become these without loss."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.schemas.predictions import ContextIn, Dimension

Objective = Literal["mean", "p90", "p99"]
Granularity = Literal["subgraph", "inter_operator", "intra_operator", "task"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class PlannedModel(BaseModel):
    """One model to place; times are optional, `after` names models (by index) that must finish first."""

    model_config = ConfigDict(extra="forbid")

    digest: str
    deadline_us: Positive | None = None
    period_us: Positive | None = None
    release_us: NonNegative = 0.0
    after: list[Annotated[int, Field(ge=0)]] = []
    inputs: dict[str, list[Dimension]] | None = None


class Support(BaseModel):
    """What a processor cannot run, by operator type."""

    model_config = ConfigDict(extra="forbid")

    unsupported: list[str] = []


class PlanRequest(BaseModel):
    """What a scheduler asks: models, a device or SoC, and optional limits."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    models: Annotated[list[PlannedModel], Field(min_length=1, max_length=16)]
    device_id: str | None = None
    soc: str | None = None
    context: ContextIn | None = None
    objective: Objective = "mean"
    granularity: list[Granularity] | None = None
    strategies: list[str] | None = None
    processors: list[str] | None = None
    support: dict[str, Support] = {}
    memory_cap_bytes: Annotated[int, Field(gt=0)] | None = None
    max_share: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    budget_ms: Annotated[float, Field(gt=0, le=60_000)] = 10.0

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.soc is None) == (self.device_id is None):
            raise ValueError("give exactly one of `device_id` and `soc`")
        count = len(self.models)
        for index, model in enumerate(self.models):
            if any(other >= count or other == index for other in model.after):
                raise ValueError(f"models[{index}].after must name other models by index (0 to {count - 1})")
        return self
