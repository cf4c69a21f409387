"""µLayer's latency model: per operator type and processor a line in the operator's arithmetic.

Source: µLayer (Kim et al., EuroSys 2019), section 4.3, and the latency predictor it takes from Neurosurgeon
(Kang et al., ASPLOS 2017): latency is linear in FLOPs, one regression per operator type and processor.
"""

import json
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from predictors.baselines._profile import Profile, as_bytes, prediction
from predictors.learner import Prediction
from predictors.run import Run, RunQuery


class FlopsLinear:
    """A line in MACs per operator type (in elements moved for types that compute nothing), frozen."""

    name: ClassVar[str] = "flops_linear"

    def __init__(self, profile: Profile | None = None) -> None:
        self._profile = profile or Profile()

    def fit(self, runs: Sequence[Run]) -> None:
        """Fit the lines on calm runs and forget everything else."""
        profile = Profile.fit(runs)
        self._profile = Profile(lines=profile.lines, typical_us=profile.typical_us)

    def predict(self, query: RunQuery) -> Prediction:
        """Return the sum of the operators' lines; a run without operators is taken to be a typical one."""
        latencies = np.array(
            [self._profile.line_us(operator) for operator in query.operators], dtype=np.float64
        )
        return prediction(latencies, None if query.operators else self._profile.typical_us)

    def learn(self, run: Run) -> None:
        """Learn nothing: the lines are frozen once they are fitted."""

    def to_bytes(self) -> bytes:
        """Return the lines as JSON."""
        return as_bytes(self._profile.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild the lines from their bytes."""
        return cls(Profile.from_json(json.loads(data)))


LEARNER = FlopsLinear
