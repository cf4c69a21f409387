"""Band's moving average per model and processor.

Source: Band (Jeong et al., MobiSys 2022): the expected latency of a subgraph on a processor is an
exponential moving average of its past latencies with a smoothing factor of 0.1, started by profiling.
"""

from collections.abc import Sequence
from typing import ClassVar

from predictors.baselines._recent import RecentLevels

SMOOTHING = 0.1


class MovingAverage(RecentLevels):
    """An exponential moving average of a model's runs on the same device, started at its first run."""

    name: ClassVar[str] = "moving_average"

    def updated(self, history: Sequence[float], total_us: float) -> list[float]:
        """Move the average a tenth of the way to the newest total."""
        return [history[0] + SMOOTHING * (total_us - history[0])] if history else [total_us]

    def level_us(self, history: Sequence[float]) -> float:
        """Return the average."""
        return history[0]


LEARNER = MovingAverage
