"""nn-Meter's kernel predictors: a random forest per kernel kind over its configuration.

Source: nn-Meter (Zhang et al., MobiSys 2021), section 4.3: random forests over the hyper-parameters, FLOPs
and sizes of each fused kernel, summed over the model. nn-Meter leaves kernels without a predictor out of the
sum; here they are answered by a forest over all kinds, which is the kinder choice.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from predictors.baselines._profile import as_bytes, operator_timings, prediction
from predictors.boosted import Boosted
from predictors.families import family
from predictors.features import FEATURES_VERSION, feature_matrix
from predictors.graph import Operator
from predictors.learner import Prediction
from predictors.run import Run, RunQuery

Floats = NDArray[np.float64]

ANY_KIND = ""
_TREES = 100
_LEAST_TIMINGS = 20
_MOST_TIMINGS = 20_000
_FOREST: Mapping[str, Any] = {
    "objective": "regression",
    "boosting": "rf",
    "bagging_fraction": 0.63,
    "bagging_freq": 1,
    "feature_fraction": 0.6,
    "num_leaves": 127,
    "min_data_in_leaf": 2,
}


class Forest:
    """Random forests, one per kernel kind and one over all kinds, frozen. Targets are microseconds."""

    name: ClassVar[str] = "forest"

    def __init__(self, forests: Mapping[str, Boosted] | None = None, typical_us: float = 1000.0) -> None:
        self._forests = dict(forests or {})
        self._typical_us = typical_us

    def fit(self, runs: Sequence[Run]) -> None:
        """Fit a forest for every kind with enough timings (the newest ones where there are too many)."""
        self._typical_us = float(np.median([run.total_us for run in runs])) if runs else self._typical_us
        points: dict[str, list[tuple[Operator, float]]] = defaultdict(list)
        for operator, latency in operator_timings(runs)[-_MOST_TIMINGS:]:
            points[family(operator)].append((operator, latency))
            points[ANY_KIND].append((operator, latency))
        self._forests = {
            kind: Boosted.fit(
                feature_matrix([operator for operator, _ in timings]),
                np.array([latency for _, latency in timings]),
                rounds=_TREES,
                parameters=_FOREST,
            )
            for kind, timings in points.items()
            if len(timings) >= _LEAST_TIMINGS
        }

    def predict(self, query: RunQuery) -> Prediction:
        """Return the sum of the kernels; a run without kernels is taken to be a typical one."""
        if not query.operators or not self._forests:
            return prediction(np.zeros(len(query.operators)), self._typical_us)
        rows = feature_matrix(list(query.operators))
        kinds = np.array([family(operator) for operator in query.operators])
        latencies = np.zeros(len(rows))
        for kind in sorted(set(kinds)):
            forest = self._forests.get(kind, self._forests[ANY_KIND])
            latencies[kinds == kind] = forest.predict(rows[kinds == kind])
        return prediction(latencies)

    def learn(self, run: Run) -> None:
        """Learn nothing: the forests are frozen once they are fitted."""

    def to_bytes(self) -> bytes:
        """Return the forests as LightGBM text in JSON."""
        return as_bytes(
            {
                "features_version": FEATURES_VERSION,
                "forests": {kind: forest.text for kind, forest in self._forests.items()},
                "typical_us": self._typical_us,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild the forests; raise `ValueError` when other features fitted them."""
        content = json.loads(data)
        if content["features_version"] != FEATURES_VERSION:
            raise ValueError(
                f"fitted on operator features {content['features_version']}, not {FEATURES_VERSION}: refit"
            )
        forests = {kind: Boosted(text) for kind, text in content["forests"].items()}
        return cls(forests, content["typical_us"])


LEARNER = Forest
