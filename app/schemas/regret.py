"""Wire types of `/v1/reports/regret`."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.schemas.reports import Format, Name
from app.services.regret_report import DIMENSIONS


class RegretQuery(BaseModel):
    """What may be asked; unknown parameters are refused, so that no typing error goes unseen."""

    model_config = ConfigDict(extra="forbid")

    group_by: str = Field(
        "predictor,condition", max_length=200, description=f"Comma-separated, any of {', '.join(DIMENSIONS)}."
    )
    since: AwareDatetime | None = Field(None, description="Only executions from this time on.")
    until: AwareDatetime | None = Field(None, description="Only executions before this time.")
    device_id: Name | None = Field(None, description="Only this device.")
    soc: Name | None = Field(None, description="Only this SoC.")
    format: Format = Field(Format.JSON, description="CSV and Parquet hold one line a group.")


class EstimateOut(BaseModel):
    """A value with its 95 % interval from `n` observations; null where they are `too_thin` to tell."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    too_thin: bool


class RegretOut(BaseModel):
    """The chosen plan's latency over that of the best measured alternative, minus 1, over episodes."""

    mean: EstimateOut
    median: EstimateOut
    p95: EstimateOut


class CoverageOut(BaseModel):
    """Share of executions within each predicted quantile; best near 0.5, 0.9 and 0.99."""

    p50: EstimateOut
    p90: EstimateOut
    p99: EstimateOut


class ExploringOut(BaseModel):
    """Executions of other plans than the chosen one, and the time that all of them took beyond it."""

    executions: int
    cost: EstimateOut


class CounterfactualOut(BaseModel):
    """What the choosing policy alone would have measured, by inverse propensities, self-normalised.

    `effective_n` is how many observations' worth that rests on, `supported` the share of decisions in which
    the policy's plan could have been logged, `actual_us` the mean of what was measured.
    """

    latency_us: EstimateOut
    effective_n: float
    supported: float
    actual_us: float


class RegretGroupOut(BaseModel):
    """One group: all but counts and `…_us` are fractions (0.25 is 25 %).

    `n` executions of chosen plans in `episodes`, of which `compared` had enough interleaved repeats. `bias`
    is that of chosen plans, `bias_random` that of plans drawn at random; `winners_curse` is their difference.
    `best` is how often the chosen plan was the best.
    """

    group: dict[str, str]
    n: int
    episodes: int
    compared: int
    mape: EstimateOut
    bias: EstimateOut
    bias_random: EstimateOut
    winners_curse: EstimateOut
    regret: RegretOut
    best: EstimateOut
    coverage: CoverageOut
    exploring: ExploringOut
    counterfactual: CounterfactualOut


class RegretReportOut(BaseModel):
    """All groups; `complete` is false where only the newest of the `executions` could be read."""

    group_by: list[str]
    since: datetime | None
    until: datetime | None
    groups: list[RegretGroupOut]
    executions: int
    complete: bool
