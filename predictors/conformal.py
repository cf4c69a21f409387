"""Prediction intervals that keep their promise: quantiles of past misses, widened or narrowed online.

A miss is log(measured / predicted). How misses scatter is learned from predictions that were made before
their runs were learned from (split conformal prediction, Lei et al. 2018); how far an interval must be
widened or narrowed now is tracked for each device by adaptive conformal inference (Gibbs & Candès 2021,
arXiv 2106.00170) on the log of its width, as quantile tracking does it (Angelopoulos, Candès & Tibshirani
2023, arXiv 2307.16895): widths stay finite, and the share of misses tends to the one promised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = (0.005, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995)
"""Quantile levels that are kept of every distribution of misses."""

INTERVALS = (0.5, 0.9, 0.99)
"""Shares of runs that the central intervals are meant to hold."""

ENDS = ((2, 4), (1, 6), (0, 8))
"""Where in `LEVELS` the low and the high end of each of `INTERVALS` are."""

MOST_WIDTH_LOG = 1.5
"""No interval becomes wider or narrower than by this factor (e^1.5 = 4.5), whatever happens."""

_RATE = 0.04
_LEAST_MISSES = 10
_MOST_MISS = 2.0


@dataclass(frozen=True)
class Spread:
    """Frozen quantiles (at `LEVELS`) of log(total / point) and log E[ratio], where no model gives them."""

    quantiles: tuple[float, ...] = (-1.4, -0.7, -0.25, 0.0, 0.25, 0.5, 0.7, 1.4, 1.8)
    smear_log: float = 0.0

    @classmethod
    def fit(cls, misses: Floats) -> "Spread":
        """Return the spread of misses, shape (n,); the default where they are too few."""
        if len(misses) < _LEAST_MISSES:
            return cls()
        return cls(
            tuple(np.quantile(misses, LEVELS).tolist()),
            float(np.log(np.mean(np.exp(np.clip(misses, -_MOST_MISS, _MOST_MISS))))),
        )


@dataclass(frozen=True, slots=True)
class Widths:
    """What a device's misses say of the intervals: by how much (log) each of `INTERVALS` is widened.

    `run` is for whole runs, `operators` for single operators.
    """

    run: tuple[float, ...] = (0.0,) * len(INTERVALS)
    operators: tuple[float, ...] = (0.0,) * len(INTERVALS)

    def after_run(self, score: float, quantiles: Sequence[float]) -> "Widths":
        """Return the widths after a run whose standardised miss was `score`.

        `quantiles` (at `LEVELS`) are those that its intervals were made of, before widening.
        """
        factors = np.exp(self.run)
        inside = [
            float(quantiles[low] * factor <= score <= quantiles[high] * factor)
            for (low, high), factor in zip(ENDS, factors.tolist(), strict=True)
        ]
        return replace(self, run=_adapted(self.run, inside))

    def to_list(self) -> list[float]:
        """Return all factors, those of runs first."""
        return [*self.run, *self.operators]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> "Widths":
        """Rebuild widths."""
        return cls(tuple(values[: len(INTERVALS)]), tuple(values[len(INTERVALS) :]))


NO_WIDTHS = Widths()
"""Nothing was missed yet: intervals as wide as past misses were."""


def widened(quantiles: Sequence[float], widths_log: Sequence[float]) -> tuple[float, ...]:
    """Return quantiles at `LEVELS`, in order, with the ends of each interval moved by its own log width.

    Levels that end no interval lie between the ends around them as they did before.
    """
    at = dict(zip(chain.from_iterable(ENDS), np.repeat(np.exp(widths_log), 2).tolist(), strict=True))
    ends = sorted(at)
    factors = np.interp(range(len(LEVELS)), ends, [at[end] for end in ends])
    return tuple(np.maximum.accumulate(np.asarray(quantiles) * factors).tolist())


def _adapted(widths_log: Sequence[float], inside: Sequence[float]) -> tuple[float, ...]:
    """Step each log width by the share of misses beyond what its interval allows."""
    return tuple(
        round(min(max(width + _RATE * (level - held), -MOST_WIDTH_LOG), MOST_WIDTH_LOG), 4)
        for width, level, held in zip(widths_log, INTERVALS, inside, strict=True)
    )
