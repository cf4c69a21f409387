"""Forecasts: what a predictor answers, on which rung of the ladder from frozen to learning."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Rung(StrEnum):
    """The ladder of predictors, so that each report shows what context, state and learning buy."""

    CALM = "calm"
    """Fitted on calm runs, then frozen: what the field calls offline profiling."""
    PER_CONDITION = "per_condition"
    """A calm model times a frozen factor per labelled condition."""
    CONTEXT_FROZEN = "context_frozen"
    """Aware of context, trained across conditions, then frozen."""
    STATE_ONLY = "state_only"
    """The calm model times the fast online state."""
    RUNTIME = "runtime"
    """Context, state and learning together."""


@dataclass(frozen=True, slots=True)
class LatencyForecast:
    """The predicted distribution of one latency: mean, quantiles and the 90 % interval, in microseconds."""

    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    low_us: float
    high_us: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a forecast rests on.

    `learned` is the share (0 to 1) of operators whose type was fitted on this key's own data; `fallback`
    names the operator types that leaned on a family or on byte and shape features alone.
    """

    learned: float
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunForecast:
    """A forecast of a whole run and, where its operators are known, of each operator.

    `operators_us` holds conditional means (they are summed by planners), shape (n_operators,).
    """

    total: LatencyForecast
    operators_us: NDArray[np.float64]
    coverage: Coverage
