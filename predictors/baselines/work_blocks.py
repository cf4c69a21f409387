"""CoDL's platform-feature linear model: hardware work blocks times a unit time, per kernel implementation.

Source: CoDL (Jia et al., MobiSys 2022), section 5: processors execute an operator in blocks of four
output channels by a tile of output pixels, so its latency grows in steps; the time of one block is linear in
the height, the width, and the input and output channels. One model is fitted per kernel implementation.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from math import ceil, prod
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.baselines._profile import Profile, as_bytes, operator_timings, prediction
from predictors.cost import dimension, integer_attribute, kernel_shape
from predictors.families import family
from predictors.graph import Operator
from predictors.learner import Prediction
from predictors.run import Run, RunQuery

CHANNELS_PER_BLOCK = 4
PIXELS_PER_BLOCK = 4
_LEAST_TIMINGS = 8
_LEAST_US = 1.0

Floats = NDArray[np.float64]


def work_blocks(operator: Operator) -> int:
    """Return the number of hardware work blocks: tiles of output pixels times groups of output channels."""
    shape = operator.outputs[0] if operator.outputs else ()
    pixels = prod(shape[2:]) if len(shape) > 2 else 1
    blocks = ceil(dimension(shape, 1) / CHANNELS_PER_BLOCK) * ceil(pixels / PIXELS_PER_BLOCK)
    return max(dimension(shape, 0) * blocks, 1)


def block_features(operator: Operator) -> Floats:
    """Return the platform features, shape (6,): 1 and blocks x (1, height, width, input, output channels)."""
    shape = operator.outputs[0] if operator.outputs else ()
    data = operator.inputs[0] if operator.inputs else ()
    group = max(integer_attribute(operator, "group", 1), 1)
    depth = dimension(data, 1) / group * prod(kernel_shape(operator))
    unit = np.array([1.0, dimension(shape, 2), dimension(shape, 3), depth, dimension(shape, 1)])
    return np.concatenate([[1.0], work_blocks(operator) * unit])


class WorkBlocks:
    """Non-negative least squares on relative errors, one model per kernel implementation, frozen."""

    name: ClassVar[str] = "work_blocks"

    def __init__(
        self, profile: Profile | None = None, coefficients: dict[str, list[float]] | None = None
    ) -> None:
        self._profile = profile or Profile()
        self._coefficients = coefficients or {}

    def fit(self, runs: Sequence[Run]) -> None:
        """Fit one model for each kernel implementation that was timed often enough."""
        profile = Profile.fit(runs)
        self._profile = Profile(lines=profile.lines, typical_us=profile.typical_us)
        points: dict[str, list[tuple[Operator, float]]] = defaultdict(list)
        for operator, latency in operator_timings(runs):
            points[family(operator)].append((operator, latency))
        self._coefficients = {
            kind: _fit(timings) for kind, timings in points.items() if len(timings) >= _LEAST_TIMINGS
        }

    def predict(self, query: RunQuery) -> Prediction:
        """Return the operators' sum; implementations without a model follow their type's line in MACs."""
        latencies = np.array([self._operator_us(operator) for operator in query.operators], dtype=np.float64)
        return prediction(latencies, None if query.operators else self._profile.typical_us)

    def _operator_us(self, operator: Operator) -> float:
        coefficients = self._coefficients.get(family(operator))
        if coefficients is None:
            return self._profile.line_us(operator)
        return float(block_features(operator) @ np.array(coefficients))

    def learn(self, run: Run) -> None:
        """Learn nothing: the models are frozen once they are fitted."""

    def to_bytes(self) -> bytes:
        """Return the coefficients as JSON."""
        return as_bytes({"profile": self._profile.to_json(), "coefficients": self._coefficients})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild the models from their bytes."""
        content = json.loads(data)
        return cls(Profile.from_json(content["profile"]), content["coefficients"])


def _fit(timings: Sequence[tuple[Operator, float]]) -> list[float]:
    rows = np.stack([block_features(operator) for operator, _ in timings])
    latencies = np.maximum([latency for _, latency in timings], _LEAST_US)
    scale = np.maximum(np.abs(rows).max(axis=0), 1.0)
    coefficients, _ = nnls(rows / scale / latencies[:, None], np.ones(len(rows)))
    return [float(value) for value in coefficients / scale]


LEARNER = WorkBlocks
