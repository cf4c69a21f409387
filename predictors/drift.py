"""Has the world moved? Null and real detectors with one method."""

from collections import deque
from typing import Protocol

import numpy as np

_MISSES = 60
_NEWEST_MISSES = 10


class DriftDetector(Protocol):
    """Watches the misses of one predictor."""

    def update(self, miss: float) -> bool:
        """Take the newest absolute miss in; return whether the misses have grown."""


class NoDrift:
    """Never sees a drift."""

    def update(self, miss: float) -> bool:
        """Return False."""
        return False


class ResidualDrift:
    """ADWIN (Bifet & Gavaldà 2007) for slow growth, Page-Hinkley (Page 1954) for steps, on clipped misses.

    Only growth counts: misses that shrink need no refit.
    """

    _CLIP = 1.0

    def __init__(self) -> None:
        from river.drift import ADWIN, PageHinkley  # Loads scikit-learn and pandas, which few processes need.

        self._adwin = ADWIN(delta=0.0005, clock=16)
        self._steps = PageHinkley(min_instances=40, delta=0.02, threshold=6.0, mode="up")

    def update(self, miss: float) -> bool:
        """Take the newest absolute miss in; return whether the misses have grown."""
        value = min(abs(miss), self._CLIP)
        before = self._adwin.estimation
        self._adwin.update(value)
        self._steps.update(value)
        grown = self._adwin.drift_detected and self._adwin.estimation > before
        return bool(grown or self._steps.drift_detected)


class MissWatch:
    """Watches absolute misses by a detector, and remembers the newest ones to say how far they grew."""

    def __init__(self, detector: DriftDetector) -> None:
        self._detector = detector
        self._misses: deque[float] = deque(maxlen=_MISSES)

    def update(self, miss: float) -> bool:
        """Take the newest absolute miss in; return whether the misses have grown."""
        self._misses.append(miss)
        return self._detector.update(miss)

    def errors(self) -> tuple[float | None, float]:
        """Return the mean of earlier misses (None where there were none), and of the newest ones."""
        misses = list(self._misses)
        before, newest = misses[:-_NEWEST_MISSES], misses[-_NEWEST_MISSES:]
        return float(np.mean(before)) if before else None, float(np.mean(newest))
