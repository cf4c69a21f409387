"""Last value: a model takes as long as it took last time on this device.

Source: the persistence forecast, the null model of forecasting (Hyndman and Athanasopoulos, Forecasting:
Principles and Practice, section 5.2).
"""

from collections.abc import Sequence
from typing import ClassVar

from predictors.baselines._recent import RecentLevels


class LastValue(RecentLevels):
    """The newest run of the same model on the same device."""

    name: ClassVar[str] = "last_value"

    def updated(self, history: Sequence[float], total_us: float) -> list[float]:
        """Keep the newest total alone."""
        return [total_us]

    def level_us(self, history: Sequence[float]) -> float:
        """Return the newest total."""
        return history[-1]


LEARNER = LastValue
