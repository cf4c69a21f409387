"""Estimates with intervals, and the honest word for too little data: none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Maps samples along the last axis to one number each."""

RESAMPLES = 1000
_CHUNK = 1_000_000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval from `n` independent observations; all None where they are too few."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def too_thin(self) -> bool:
        """Whether there was too little data to say a number."""
        return self.value is None


def mean(samples: Floats) -> Floats:
    """Return means along the last axis."""
    return np.asarray(samples.mean(axis=-1))


def median(samples: Floats) -> Floats:
    """Return medians along the last axis."""
    return np.asarray(np.median(samples, axis=-1))


def p95(samples: Floats) -> Floats:
    """Return 95 % quantiles along the last axis."""
    return np.asarray(np.quantile(samples, 0.95, axis=-1))


LEAST: dict[Statistic, int] = {mean: 5, median: 5, p95: 20}
"""Observations below which a statistic is not told: the tail needs more than the middle."""


def bootstrap(
    values: ArrayLike, statistic: Statistic = mean, seed: int = 0, *, least: int | None = None
) -> Estimate:
    """Return a statistic of independent observations, shape (n,), with its percentile bootstrap interval.

    Resample whole episodes, never single executions of one: those depend on each other. Fewer than `least`
    observations (by `LEAST` unless it is given) are too few to say a number.
    """
    known = np.asarray(values, dtype=np.float64)
    if len(known) < (LEAST.get(statistic, 5) if least is None else max(least, 1)):
        return Estimate(None, None, None, len(known))
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(known))
    parts = [
        statistic(known[generator.integers(0, len(known), (min(rows, RESAMPLES - start), len(known)))])
        for start in range(0, RESAMPLES, rows)
    ]
    low, high = np.quantile(np.concatenate(parts), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(statistic(known)), float(low), float(high), len(known))


def bootstrap_ratio(over: Sequence[float], under: Sequence[float], seed: int = 0) -> Estimate:
    """Return sum(over) / sum(under) of paired observations with its percentile bootstrap interval."""
    top, bottom = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    if len(top) < LEAST[mean] or bottom.sum() <= 0:
        return Estimate(None, None, None, len(top))
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(top))
    ratios = []
    for start in range(0, RESAMPLES, rows):
        drawn = generator.integers(0, len(top), (min(rows, RESAMPLES - start), len(top)))
        ratios.append(top[drawn].sum(axis=1) / np.maximum(bottom[drawn].sum(axis=1), 1e-12))
    low, high = np.quantile(np.concatenate(ratios), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(top.sum() / bottom.sum()), float(low), float(high), len(top))
