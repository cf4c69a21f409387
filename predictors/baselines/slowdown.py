"""ALERT's global slowdown factor, tracked by a Kalman filter that adapts to volatility.

Source: ALERT (Wan et al., USENIX ATC 2020), section 3.3: the ratio of measured over profiled latency, shared
by all models, follows a random walk; the process noise Q grows with recent surprises (forgetting factor 0.3,
never under 0.1), the measurement noise R is 0.001, and the filter starts at gain 0.5, mean 1, variance 0.1.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from predictors.baselines._profile import Profile, as_bytes, prediction
from predictors.learner import Prediction
from predictors.run import Run, RunQuery

MEASUREMENT_NOISE = 0.001
LEAST_PROCESS_NOISE = 0.1
FORGETTING = 0.3
MOST_DEVICES = 4096
_MOST_SLOWDOWN = 1e6


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter of one device: mean slowdown, its variance, the last gain, process noise and innovation."""

    mean: float = 1.0
    variance: float = 0.1
    gain: float = 0.5
    process_noise: float = LEAST_PROCESS_NOISE
    innovation: float = 0.0

    def update(self, slowdown: float) -> "Filter":
        """Return the filter after one more measured slowdown."""
        surprise = (self.gain * self.innovation) ** 2
        noise = max(LEAST_PROCESS_NOISE, FORGETTING * self.process_noise + (1.0 - FORGETTING) * surprise)
        variance = (1.0 - self.gain) * self.variance + noise
        gain = variance / (variance + MEASUREMENT_NOISE)
        innovation = min(slowdown, _MOST_SLOWDOWN) - self.mean
        return Filter(self.mean + gain * innovation, variance, gain, noise, innovation)


class Slowdown:
    """The calm profile times one slowdown per device."""

    name: ClassVar[str] = "slowdown"

    def __init__(self, profile: Profile | None = None, filters: dict[str, Filter] | None = None) -> None:
        self._profile = profile or Profile()
        self._filters = filters or {}

    def fit(self, runs: Sequence[Run]) -> None:
        """Profile calm runs."""
        self._profile = Profile.fit(runs)

    def predict(self, query: RunQuery) -> Prediction:
        """Return the profiled latency times the device's slowdown."""
        calm = self._profile.predict(query)
        slowdown = self._filters.get(_device(query), Filter()).mean
        return prediction(calm.operators_us, calm.total_us * max(slowdown, 0.0))

    def learn(self, run: Run) -> None:
        """Let the device's filter see how much slower than its profile a run was."""
        device = _device(run.query)
        calm_us = self._profile.predict(run.query).total_us
        before = self._filters.pop(device, Filter())
        self._filters[device] = before.update(run.total_us / calm_us) if calm_us > 0 else before
        if len(self._filters) > MOST_DEVICES:
            del self._filters[next(iter(self._filters))]

    def to_bytes(self) -> bytes:
        """Return profile and filters as JSON."""
        filters = [
            [device, [item.mean, item.variance, item.gain, item.process_noise, item.innovation]]
            for device, item in self._filters.items()
        ]
        return as_bytes({"profile": self._profile.to_json(), "filters": filters})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild the learner from its bytes."""
        content = json.loads(data)
        filters = {device: Filter(*values) for device, values in content["filters"]}
        return cls(Profile.from_json(content["profile"]), filters)


def _device(query: RunQuery) -> str:
    return f"{query.device_id}|{query.key.processor}"


LEARNER = Slowdown
