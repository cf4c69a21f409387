"""Forecasts: what a predictor answers, on which rung of the ladder from frozen to learning."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from predictors.conformal import ENDS, INTERVALS, LEVELS, NO_WIDTHS, Widths
from predictors.operator_scatter import DEFAULT_SCATTER, OperatorScatter

_P50, _P90, _P99 = (LEVELS.index(level) for level in (0.5, 0.9, 0.99))
_LOW, _HIGH = ENDS[INTERVALS.index(0.9)]


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
    """The predicted distribution of one latency, in microseconds: its mean, and quantiles at `LEVELS`.

    Quantiles never fall, so intervals lie inside each other and agree with them: the ends of the 90 %
    interval are the 5 % and the 95 % quantile.
    """

    mean_us: float
    quantiles_us: tuple[float, ...]

    @property
    def p50_us(self) -> float:
        """The median: the point estimate."""
        return self.quantiles_us[_P50]

    @property
    def p90_us(self) -> float:
        """The 90 % quantile."""
        return self.quantiles_us[_P90]

    @property
    def p99_us(self) -> float:
        """The 99 % quantile."""
        return self.quantiles_us[_P99]

    @property
    def low_us(self) -> float:
        """The low end of the 90 % interval."""
        return self.quantiles_us[_LOW]

    @property
    def high_us(self) -> float:
        """The high end of the 90 % interval."""
        return self.quantiles_us[_HIGH]

    def interval_us(self, level: float) -> tuple[float, float]:
        """Return the ends of the central interval of a level, one of `INTERVALS`."""
        low, high = ENDS[INTERVALS.index(level)]
        return self.quantiles_us[low], self.quantiles_us[high]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a forecast rests on.

    `learned` is the share (0 to 1) of operators whose type was fitted on this key's own data; `fallback`
    names the operator types that leaned on a family or on byte and shape features alone; `reasons` say why
    it is too thin to rely on, if it is (`predictors.thinness`).
    """

    learned: float
    fallback: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def too_thin(self) -> bool:
        """Whether the honest answer is that too little is known."""
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class RunForecast:
    """A forecast of a whole run and, where its operators are known, of each operator.

    `operators_us` holds conditional means (they are summed by planners), shape (n_operators,); `scatter`,
    `stretch_log` (log of predicted over calm) and `widths` tell how single operators scatter around them,
    `doubt_log` how far off all of them may be for want of measurements (`predictors.doubt`).
    """

    total: LatencyForecast
    operators_us: NDArray[np.float64]
    coverage: Coverage
    scatter: OperatorScatter = DEFAULT_SCATTER
    stretch_log: float = 0.0
    widths: Widths = NO_WIDTHS
    doubt_log: float = 0.0

    def operator_quantiles_us(self) -> NDArray[np.float64]:
        """Return the quantiles of each operator at `LEVELS`, which never fall, shape (n_operators, 9)."""
        return self.scatter.quantiles_us(
            self.operators_us, self.stretch_log, self.widths.operators, self.doubt_log
        )
