"""Median of the last eight runs: slow to see a change, hard to beat where there is none.

Source: the running median filter (Tukey, Exploratory Data Analysis, 1977, chapter 7), window of eight.
"""

from collections.abc import Sequence
from statistics import median
from typing import ClassVar

from predictors.baselines._recent import RecentLevels

WINDOW = 8


class MedianOfRecent(RecentLevels):
    """The median of a model's newest eight runs on the same device."""

    name: ClassVar[str] = "median_of_recent"

    def updated(self, history: Sequence[float], total_us: float) -> list[float]:
        """Keep the newest eight totals."""
        return [*history, total_us][-WINDOW:]

    def level_us(self, history: Sequence[float]) -> float:
        """Return the median of the totals kept."""
        return float(median(history))


LEARNER = MedianOfRecent
