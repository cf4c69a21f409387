"""What is expected of a run, and how it becomes a forecast in microseconds."""

from dataclasses import dataclass, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from predictors.calm_model import Calm
from predictors.conformal import LEVELS
from predictors.context_model import Stretch
from predictors.forecast import LatencyForecast

Floats = NDArray[np.float64]

_MEDIAN = LEVELS.index(0.5)
_LEAST_LOG_US, _MOST_LOG_US = -1.0, 25.0

UNTRIED_SPREAD = 0.25
"""Typical miss (log) where nothing but calm was seen."""

UNTRIED_RUNS = 20
"""How many runs that assumption is worth."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the runtime rung expects of a run: log(total / calm), by what it is blended from.

    `fresh` trusts the state, `alone` knows the context only, `share` (0 to 1) is how far the state counts;
    `trees_log` is what the trees say by themselves, NaN where there are none.
    """

    stretch: Stretch
    fresh: Stretch
    alone: Stretch
    share: float
    trees_log: float


def untried(stretch: Stretch, live_runs: int) -> Stretch:
    """Return a stretch with the spread that is honest after so few runs beyond the calm profile.

    Calm runs tell nothing of how far runs under load will be off, so that what was seen counts by the number
    of runs it was seen on, against what processors under changing load show.
    """
    seen, unseen = stretch.spread * live_runs, UNTRIED_SPREAD * UNTRIED_RUNS
    return replace(stretch, spread=(seen + unseen) / (live_runs + UNTRIED_RUNS))


def from_stretch(calm: Calm, stretch: Stretch, standard: Floats) -> LatencyForecast:
    """Return the forecast of a stretch whose miss over its spread has the quantiles `standard`."""
    point = calm.log_total_us + stretch.median
    return around(point, point + standard * stretch.spread, calm.log_total_us + stretch.log_mean)


def around(point: float, logs: Floats, log_mean: float) -> LatencyForecast:
    """Assemble a forecast whose quantiles are in order around the point; finite whatever was measured."""
    logs[:_MEDIAN] = np.minimum(logs[:_MEDIAN], point)
    logs[_MEDIAN] = point
    logs[_MEDIAN + 1 :] = np.maximum(logs[_MEDIAN + 1 :], point)
    quantiles = np.exp(np.clip(logs, _LEAST_LOG_US, _MOST_LOG_US))
    mean_us = exp(min(max(log_mean, _LEAST_LOG_US), _MOST_LOG_US))
    return LatencyForecast(mean_us, tuple(quantiles.tolist()))
