"""Wire types of the error reports."""

from datetime import datetime

from pydantic import BaseModel


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


class ErrorGroup(BaseModel):
    """One group on one level (`run` or `operator`): its keys and the figures of each rung."""

    level: str
    group: dict[str, str]
    rungs: dict[str, ErrorFigures]


class ErrorReport(BaseModel):
    """Errors of every rung by group; `pending_runs` were stored but not yet scored by the learner."""

    group_by: list[str]
    since: datetime | None
    until: datetime | None
    groups: list[ErrorGroup]
    pending_runs: int
