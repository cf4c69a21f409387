"""Lookup of calm medians: the table that device benchmarks and supernet search tools hand out.

Source: the per-operator latency table of ProxylessNAS (Cai et al., ICLR 2019) and MobileNetV3's search,
here with medians; a whole model that was profiled is answered by its own median.
"""

import json
from collections.abc import Sequence
from typing import ClassVar, Self

from predictors.baselines._profile import Profile, as_bytes
from predictors.learner import Prediction
from predictors.run import Run, RunQuery


class Lookup:
    """Medians of calm runs, frozen; operators never timed follow their type's line in MACs."""

    name: ClassVar[str] = "lookup"

    def __init__(self, profile: Profile | None = None) -> None:
        self._profile = profile or Profile()

    def fit(self, runs: Sequence[Run]) -> None:
        """Profile calm runs."""
        self._profile = Profile.fit(runs)

    def predict(self, query: RunQuery) -> Prediction:
        """Return the model's median, or the sum of its operators' medians."""
        return self._profile.predict(query)

    def learn(self, run: Run) -> None:
        """Learn nothing: a table is frozen once it is profiled."""

    def to_bytes(self) -> bytes:
        """Return the table as JSON."""
        return as_bytes(self._profile.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild the table from its bytes."""
        return cls(Profile.from_json(json.loads(data)))


LEARNER = Lookup
