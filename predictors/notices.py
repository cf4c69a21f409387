"""What the slow clock tells: versions that it published, and what it noticed without making one."""

from dataclasses import dataclass, field
from typing import Any

from predictors.version import PredictorVersion

REFUSED = "refused refit"


@dataclass(frozen=True)
class Notice:
    """Something the slow clock noticed about a key that made no version: a drift, or a refit it refused.

    `error_before` and `error_after` are mean absolute log errors: before and since a drift began to show, of
    the version in service and of the refused one.
    """

    kind: str
    version: PredictorVersion
    trigger: str
    device_id: str | None = None
    error_before: float | None = None
    error_after: float | None = None
    held_back_runs: int | None = None


@dataclass(frozen=True)
class Published:
    """A new version, why it was made, and how well it did on runs held back."""

    version: PredictorVersion
    reason: str
    metrics: dict[str, Any] = field(default_factory=dict)
