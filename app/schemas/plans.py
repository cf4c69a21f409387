"""Wire types of `/v1/plan`; the planner's own records become these without loss."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.schemas.plan_basis import ChosenOut, StageCostsOut, SupportOut, TransferOut
from app.schemas.predictions import CoverageOut

Objective = Literal["mean", "p90", "p99"]
Granularity = Literal["subgraph", "inter_operator", "intra_operator", "task"]
LONGEST_US = 1e15
"""No time of a request is longer: some thirty years."""

Positive = Annotated[float, Field(gt=0, le=LONGEST_US)]
NonNegative = Annotated[float, Field(ge=0, le=LONGEST_US)]
Dimension = Annotated[int, Field(ge=0, le=2**40)]


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


class ExploreIn(BaseModel):
    """Draw another plan than the best one in a share of requests; the same `seed` draws the same again."""

    model_config = ConfigDict(extra="forbid")

    share: Annotated[float, Field(ge=0, le=1)] = 0.02
    seed: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class PlanRequest(BaseModel):
    """What a scheduler asks: models, a device or SoC, and optional limits."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    models: Annotated[list[PlannedModel], Field(min_length=1, max_length=16)]
    device_id: str | None = None
    soc: str | None = None
    context: dict[str, float | bool] | None = None
    contexts: dict[str, dict[str, float | bool]] = {}
    objective: Objective = "mean"
    granularity: list[Granularity] | None = None
    strategies: list[str] | None = None
    processors: list[str] | None = None
    support: dict[str, Support] = {}
    memory_cap_bytes: Annotated[int, Field(gt=0)] | None = None
    max_share: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    budget_ms: Annotated[float, Field(gt=0, le=60_000)] = 10.0
    explore: ExploreIn | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.soc is None) == (self.device_id is None):
            raise ValueError("give exactly one of `device_id` and `soc`")
        count = len(self.models)
        for index, model in enumerate(self.models):
            if any(other >= count or other == index for other in model.after):
                raise ValueError(f"models[{index}].after must name other models by index (0 to {count - 1})")
        return self


class DistributionOut(BaseModel):
    """A plan's predicted latency, in microseconds."""

    mean: float
    p50: float
    p90: float
    p99: float


class SplitOut(BaseModel):
    """The part of its operators that a stage computes: a range (0 to 1) of the output along a dimension."""

    dimension: str
    range: tuple[float, float]


class StageOut(BaseModel):
    """What one processor runs in one go; `operators` are names in the model file, `after` other stages.

    `compute_us` is what its kernels take alone, `moved_bytes` what they move through memory, `reads` the
    bytes that it fetches from each other processor.
    """

    id: int
    model: int
    operators: list[str]
    processor: str
    split: SplitOut | None
    start_us: float
    end_us: float
    after: list[int]
    compute_us: float
    moved_bytes: float
    reads: dict[str, float]


class FallbackOut(BaseModel):
    """Share of operators that the plan's accelerators could not run, which, and what that costs."""

    ratio: float
    operators: list[str]
    cost_us: float


class UsageOut(BaseModel):
    """Shares (0 to 1) of a processor's time until the plan ends."""

    busy: float
    waiting: float
    idle: float


class PlanOut(BaseModel):
    """One plan: complete, an executor needs only the model file and `stages`."""

    plan_id: str
    strategy: str
    granularity: str
    latency_us: DistributionOut
    offline_latency_us: float
    deadline_met: list[float | None]
    speedup_over_best_single: float | None
    fallback: FallbackOut
    transfer_us: float
    peak_memory_bytes: float
    processors: dict[str, UsageOut]
    bound_us: float
    requires_retraining: bool
    stages: list[StageOut]
    mappings: list[str]
    fastest: float
    tie: bool
    stopped_early: bool
    note: str
    flips: dict[str, float]


class ImpossibleOut(BaseModel):
    """A strategy without a plan, and why."""

    strategy: str
    reason: str


class PlanPredictorOut(BaseModel):
    """What predicted for one processor; `borrowed_from` names another one that lent its predictor.

    `coverage` says for the offline profile and the runtime predictor what they know of the models asked for.
    """

    version: str
    framework: str
    borrowed_from: str | None
    coverage: dict[Literal["offline", "runtime"], CoverageOut]


class RecentErrorOut(BaseModel):
    """Whole-run prediction errors on this device in the last day, as fractions."""

    n: int
    mape: float
    median_ape: float


class PlanAnswerOut(BaseModel):
    """Plans ranked by the objective, over every processor asked for.

    `unavailable` once named processors without a predictor; relatives or the physical prior answer for these
    now, so that it is empty.
    """

    plans: list[PlanOut]
    chosen: ChosenOut | None
    context: dict[str, float]
    predictors: dict[str, PlanPredictorOut]
    unavailable: list[str]
    recent_error: dict[Literal["offline", "runtime"], RecentErrorOut]
    impossible: list[ImpossibleOut]
    transfers: list[TransferOut]
    stage_costs: dict[str, StageCostsOut]
    support: dict[str, SupportOut]
