"""Wire types of predictor versions."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class PriceByLengthOut(BaseModel):
    """The price in one class of run lengths, as fractions.

    `slowdown` is how much longer a profiled run takes, `node_share` the sum of node timings over it.
    """

    networks: int
    slowdown: float
    node_share: float


class ProfilerPriceOut(BaseModel):
    """What profiling costs on a processor: in microseconds for a run and for each operator in it.

    `share_of_run` is the median over networks of (profiled - unprofiled) / unprofiled; it rests on calm runs
    of so many `networks` and `runs` of either kind. `too_thin` says that these are too few to rely on.
    """

    per_node_us: float
    per_run_us: float
    share_of_run: float
    networks: int
    profiled_runs: int
    unprofiled_runs: int
    too_thin: bool
    by_length: dict[str, PriceByLengthOut]


class PredictorVersionOut(BaseModel):
    """One version: for what, why it was fitted, on what, how well it did, and whether it serves.

    `too_thin` says that it rests on too few runs for any network, `reasons` why. `profiler_price` says what
    the profiler costs there, null where no network was timed both with and without it.
    """

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
    too_thin: bool
    reasons: list[str]
    profiler_price: ProfilerPriceOut | None


class PredictorVersions(BaseModel):
    """All versions, newest first."""

    items: list[PredictorVersionOut]
