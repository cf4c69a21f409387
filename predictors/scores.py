"""Scores of predicted against measured latencies, as terms that add up; all are fractions (0.25 is 25 %).

Point estimates are medians (percentage errors, log ratios); means are judged by the ratio of sums (bias),
quantiles by pinball loss, intervals by coverage, width and Winkler's score. Both levels, whole runs and
single operators, have the same figures.
"""

from collections.abc import Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from predictors.conformal import ENDS, INTERVALS, LEVELS
from predictors.forecast import LatencyForecast, RunForecast

Floats = NDArray[np.float64]

LEAST_US = 1.0
"""Relative errors of latencies under the clock's resolution mean nothing; they are taken to this."""

WINKLER_LEVEL = 0.9
PINBALL_LEVELS = (0.5, 0.9, 0.99)

_MEDIAN = LEVELS.index(0.5)
_PINBALL = tuple((level, LEVELS.index(level)) for level in PINBALL_LEVELS)
_HELD = {0.5: "covered_50", 0.9: "covered", 0.99: "covered_99"}


def run_terms(total_us: float, forecast: LatencyForecast) -> dict[str, float]:
    """Return the terms of one run."""
    quantiles = np.array([forecast.quantiles_us])
    terms = _terms(np.array([total_us]), np.array([forecast.mean_us]), quantiles)
    return {name: float(values[0]) for name, values in terms.items()}


def operator_terms(latency_us: Floats, forecast: RunForecast) -> dict[str, Floats]:
    """Return the terms of each operator of one run, every one of shape (n,).

    Clocks count whole microseconds: what is under one counts as one.
    """
    measured = np.maximum(latency_us, LEAST_US)
    return _terms(measured, forecast.operators_us, forecast.operator_quantiles_us())


def figures(n: int, sums: Mapping[str, float], median_ape: float) -> dict[str, float | int | None]:
    """Return the report's figures from summed terms; None where the terms were not counted."""
    count = max(n, 1)
    measured_us = max(sums["measured_us"], LEAST_US)

    def mean(name: str) -> float | None:
        return sums[name] / count if name in sums else None

    return {
        "n": n,
        "mape": sums["ape"] / count,
        "median_ape": median_ape,
        "mean_abs_log_ratio": sums["abs_log_ratio"] / count,
        "rmspe": sqrt(sums["squared_pe"] / count),
        "within_10": sums["within_10"] / count,
        "bias": sums["predicted_us"] / measured_us - 1.0,
        "pinball": sums["pinball_us"] / measured_us if "pinball_us" in sums else None,
        "coverage": mean("covered"),
        "width": mean("width"),
        "winkler": mean("winkler"),
        "coverage_50": mean("covered_50"),
        "coverage_99": mean("covered_99"),
    }


def _terms(measured_us: Floats, mean_us: Floats, quantiles_us: Floats) -> dict[str, Floats]:
    """Return the terms of n latencies; `quantiles_us` has shape (n, 9), at `LEVELS`."""
    measured = np.maximum(measured_us, LEAST_US)
    point = quantiles_us[:, _MEDIAN]
    relative = (point - measured) / measured
    ape = np.abs(relative)
    gaps = [(level, measured_us - quantiles_us[:, place]) for level, place in _PINBALL]
    low, high = (quantiles_us[:, end] for end in ENDS[INTERVALS.index(WINKLER_LEVEL)])
    width = high - low
    outside = np.maximum(low - measured_us, 0.0) + np.maximum(measured_us - high, 0.0)
    held = {
        _HELD[level]: np.asarray(
            (quantiles_us[:, low_end] <= measured_us) & (measured_us <= quantiles_us[:, high_end]),
            dtype=np.float64,
        )
        for level, (low_end, high_end) in zip(INTERVALS, ENDS, strict=True)
    }
    return {
        "ape": ape,
        "abs_log_ratio": np.abs(np.log(np.maximum(point, LEAST_US) / measured)),
        "squared_pe": relative**2,
        "within_10": (ape <= 0.1).astype(np.float64),
        "predicted_us": mean_us,
        "measured_us": measured_us,
        "pinball_us": sum(
            (np.maximum(level * gap, (level - 1.0) * gap) for level, gap in gaps), np.zeros(len(measured))
        )
        / len(gaps),
        "width": width / measured,
        "winkler": (width + 2.0 / (1.0 - WINKLER_LEVEL) * outside) / measured,
        **held,
    }
