"""Wire types of the reports: what may be asked, and what is answered."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.services.miss_report import DIMENSIONS as MISS_DIMENSIONS
from app.store.journal import Kind
from app.store.reports import DIMENSIONS

Name = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
"""A name to filter by; no database takes a zero byte in one."""


class Format(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class ReportQuery(BaseModel):
    """What every report may be asked; unknown parameters are refused, so that no typing error goes unseen."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Field(Format.JSON, description="CSV and Parquet hold the whole report, without pages.")
    cursor: str | None = Field(None, description="`next` of the page before (JSON only).", max_length=5_000)
    device_id: Name | None = Field(None, description="Only this device.")
    soc: Name | None = Field(None, description="Only this SoC.")
    processor: Name | None = Field(None, description="Only processors of this name.")


class ErrorQuery(ReportQuery):
    """Which prediction errors, and how to group them."""

    group_by: str = Field(
        "condition", max_length=500, description=f"Comma-separated, any of {', '.join(DIMENSIONS)}."
    )
    since: AwareDatetime | None = Field(None, description="Only runs from this time's hour on.")
    until: AwareDatetime | None = Field(None, description="Only runs up to this time's hour.")
    condition: Name | None = Field(None, description="Only runs with this label.")
    model: Name | None = Field(None, description="Only this model, by name or digest.")
    op_type: Name | None = Field(None, description="Only operators of this type.")
    limit: int = Field(1000, ge=1, le=10_000, description="Most groups on a page.")


class DriftQuery(ReportQuery):
    """Which events."""

    since: AwareDatetime | None = Field(None, description="Only events from this time on.")
    until: AwareDatetime | None = Field(None, description="Only events before this time.")
    kind: Kind | None = Field(None, description="Only events of this kind.")
    framework: Name | None = Field(None, description="Only predictors for this framework.")
    limit: int = Field(100, ge=1, le=1000, description="Most events on a page.")


class CoverageQuery(ReportQuery):
    """Which predictors."""

    framework: Name | None = Field(None, description="Only predictors for this framework.")
    model: Name | None = Field(None, description="Only this model, by name or digest.")
    limit: int = Field(100, ge=1, le=1000, description="Most processors on a page.")


class DriftEvent(BaseModel):
    """Something that befell a predictor, and what came of it.

    `at` is the start of the run that brought it about. Errors are mean absolute log errors on runs that
    neither version had learned from; of a drift, before it and when it was noticed. `runs_since` counts runs
    scored by versions published at or after the event, `served_runs` and `served_mape` those scored by the
    very version it made.
    """

    at: datetime
    recorded_at: datetime
    kind: Kind
    soc: str
    processor: str
    framework: str
    device: str | None
    version: int | None
    predictor: str
    trigger: str
    error_before: float | None
    error_after: float | None
    held_back_runs: int | None
    trained_runs: int | None
    runs_since: int | None
    served_runs: int | None
    served_mape: float | None


class DriftReport(BaseModel):
    """Events, newest first; `next` is the cursor of the following page."""

    since: datetime | None
    until: datetime | None
    items: list[DriftEvent]
    next: str | None


class Shares(BaseModel):
    """Shares (0 to 1) by what is known: this very operator, its type, or neither."""

    measured: float
    learned: float
    fallback: float


class OperatorTypeOut(BaseModel):
    """One operator type on a processor."""

    op_type: str
    knowledge: str
    operators: int
    samples: int
    time_share: float


class ModelCoverageOut(BaseModel):
    """What is known of one model on a processor; shares are null for one that was only timed as a whole."""

    name: str
    digest: str | None
    runs: int
    calm_profile: bool
    mapping: str
    operators: Shares | None
    time: Shares | None
    op_types: list[OperatorTypeOut]


class IntervalsOut(BaseModel):
    """How often the runtime predictor's interval held (fraction), on how many runs."""

    level: float
    n: int
    coverage: float | None
    width: float | None


class ThinOut(BaseModel):
    """Where predictions rest on too little: what, why, and what to do."""

    what: str
    name: str
    because: str
    advice: str


class ProfileNextOut(BaseModel):
    """An operator whose calm timing would shrink the error most."""

    op_type: str
    signature: str
    unexplained_us: float
    runs: int


class ProcessorCoverageOut(BaseModel):
    """What the predictor of one processor knows; `version` is null where there is none yet."""

    soc: str
    processor: str
    framework: str | None
    version: int | None
    predictor: str | None
    trained_runs: int
    calm_runs: int
    calm_source: str | None
    operators: Shares | None
    time: Shares | None
    op_types: list[OperatorTypeOut]
    models: list[ModelCoverageOut]
    intervals: IntervalsOut
    thin: list[ThinOut]
    profile_next: list[ProfileNextOut]


class CoverageReport(BaseModel):
    """Processors in order of SoC, name and framework; `next` is the cursor of the following page."""

    items: list[ProcessorCoverageOut]
    next: str | None


class MissQuery(BaseModel):
    """Which runs to explain, and how to group them."""

    model_config = ConfigDict(extra="forbid")

    format: Format = Format.JSON
    group_by: str = Field(
        "condition", max_length=500, description=f"Comma-separated, any of {', '.join(MISS_DIMENSIONS)}."
    )
    run_id: UUID | None = Field(None, description="Only this run.")
    device_id: Name | None = Field(None, description="Only this device.")
    soc: Name | None = Field(None, description="Only this SoC.")
    processor: Name | None = Field(None, description="Only processors of this name.")
    model: Name | None = Field(None, description="Only this model, by name or digest.")
    condition: Name | None = Field(None, description="Only runs with this label.")
    since: AwareDatetime | None = Field(None, description="Only runs that started at or after this time.")
    until: AwareDatetime | None = Field(None, description="Only runs that started before this time.")
    limit: int = Field(200, ge=1, le=1_000, description="Newest runs to explain.")


class PartsOut(BaseModel):
    """Kernel mapping, operator model, what lies between the operators, context, fast state."""

    mapping: float
    operators: float
    overhead: float
    context: float
    state: float


class MissGroupOut(BaseModel):
    """Why runs of a group were missed by the runtime predictor, as log(measured / predicted).

    `parts` are means that add up to `mean_log_ratio`; `shares` (0 to 1) weigh their sizes.
    """

    group: dict[str, str]
    n: int
    mean_abs_log_ratio: float
    mean_log_ratio: float
    parts: PartsOut
    shares: PartsOut
    profile_next: list[ProfileNextOut]


class MissReportOut(BaseModel):
    """Why predictions missed, by group: `runs` were explained, `left_out` could not be."""

    group_by: list[str]
    groups: list[MissGroupOut]
    runs: int
    left_out: int


class ErrorFigures(BaseModel):
    """How wrong one rung was, as fractions (0.25 is 25 %); null where nothing could be scored."""

    n: int
    mape: float
    median_ape: float
    mean_abs_log_ratio: float
    rmspe: float
    within_10: float
    bias: float
    pinball: float | None
    coverage: float | None
    width: float | None
    winkler: float | None
    coverage_50: float | None
    coverage_99: float | None


class ErrorGroup(BaseModel):
    """One group on one level (`run` or `operator`): its keys and the figures of each rung."""

    level: str
    group: dict[str, str]
    rungs: dict[str, ErrorFigures]


class ErrorReport(BaseModel):
    """Errors of every rung by group; `pending_runs` were stored but not yet scored by the learner.

    `next` is the cursor of the following page.
    """

    group_by: list[str]
    since: datetime | None
    until: datetime | None
    groups: list[ErrorGroup]
    pending_runs: int
    next: str | None
