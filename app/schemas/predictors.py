"""Wire types of predictor versions."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class PredictorVersionOut(BaseModel):
    """One version: for what, why it was fitted, on what, how well it did, and whether it serves."""

    id: int
    soc: str
    processor: str
    framework: str
    digest: str
    reason: str
    metrics: dict[str, Any]
    created_at: datetime
    serving: bool
    pinned: bool
    rolled_back: bool


class PredictorVersions(BaseModel):
    """All versions, newest first."""

    items: list[PredictorVersionOut]
