"""Scores of predicted against measured latencies; all are fractions (0.25 is 25 %)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_US = 1.0
"""Relative errors of latencies under the clock's resolution mean nothing; they are taken to this."""


def point_scores(measured_us: Floats, point_us: Floats) -> dict[str, float]:
    """Score a point estimate (the median) on runs of shape (n,), n of at least 1."""
    measured = np.maximum(measured_us, LEAST_US)
    relative = (point_us - measured) / measured
    ratio = np.log(np.maximum(point_us, LEAST_US) / measured)
    return {
        "mape": float(np.abs(relative).mean()),
        "median_ape": float(np.median(np.abs(relative))),
        "mean_abs_log_ratio": float(np.abs(ratio).mean()),
        "rmspe": float(np.sqrt((relative**2).mean())),
        "within_10": float((np.abs(relative) <= 0.1).mean()),
    }


def bias(measured_us: Floats, mean_us: Floats) -> float:
    """Return the ratio of sums of predicted means over measured, minus 1: how far sums are off."""
    return float(mean_us.sum() / max(measured_us.sum(), LEAST_US) - 1.0)


def pinball(measured_us: Floats, quantiles_us: Mapping[float, Floats]) -> float:
    """Return the mean pinball loss over the given quantiles, relative to the mean measured latency."""
    losses = []
    for level, predicted in quantiles_us.items():
        gap = measured_us - predicted
        losses.append(np.maximum(level * gap, (level - 1.0) * gap).mean())
    return float(np.mean(losses) / max(measured_us.mean(), LEAST_US))


def interval_scores(measured_us: Floats, low_us: Floats, high_us: Floats, level: float) -> dict[str, float]:
    """Score a central interval: coverage, mean relative width, and the Winkler score relative to measured."""
    measured = np.maximum(measured_us, LEAST_US)
    outside = np.maximum(low_us - measured_us, 0.0) + np.maximum(measured_us - high_us, 0.0)
    width = high_us - low_us
    return {
        "coverage": float(((low_us <= measured_us) & (measured_us <= high_us)).mean()),
        "width": float((width / measured).mean()),
        "winkler": float(((width + 2.0 / (1.0 - level) * outside) / measured).mean()),
    }


def run_scores(
    measured_us: Floats,
    mean_us: Floats,
    quantiles_us: Mapping[float, Floats],
    low_us: Floats,
    high_us: Floats,
) -> dict[str, float]:
    """Return every figure of the report for runs of one group; `quantiles_us` must hold the median (0.5)."""
    return {
        "n": float(len(measured_us)),
        **point_scores(measured_us, quantiles_us[0.5]),
        "bias": bias(measured_us, mean_us),
        "pinball": pinball(measured_us, quantiles_us),
        **interval_scores(measured_us, low_us, high_us, 0.9),
    }


def operator_scores(measured_us: Floats, mean_us: Floats) -> dict[str, float]:
    """Return the report's figures for operators, scored by their predicted conditional means."""
    return {
        "n": float(len(measured_us)),
        **point_scores(measured_us, mean_us),
        "bias": bias(measured_us, mean_us),
    }
