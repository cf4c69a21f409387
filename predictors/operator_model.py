"""What each operator costs in calm conditions: a physical law per kind, boosted trees on its residual.

The law (`predictors.cost_law`) extrapolates to networks nobody measured, where trees cannot; the trees learn
what it leaves over, shrunk by how well they do on networks left out. Signatures that were measured lean on
their own measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.boosted import Boosted
from predictors.cost_law import PRIOR_LAW, CostLaw
from predictors.features import FEATURES_VERSION, feature_matrix
from predictors.graph import Operator

Floats = NDArray[np.float64]

FLOOR_US = 0.3
"""Latencies are whole microseconds, so 0 means less than one; logarithms start here."""

_TREES: Mapping[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 4,
    "lambda_l2": 2.0,
    "feature_fraction": 0.7,
    "cat_smooth": 10.0,
    "min_data_per_group": 8,
}
_ROUNDS = 150
_MOST_WEIGHT = 8.0
_SHRINK_RUNS = 3.0


@dataclass(frozen=True)
class OperatorSample:
    """What was measured of one operator: its mean calm latency in microseconds and how often."""

    operator: Operator
    latency_us: float
    count: int


@dataclass(frozen=True)
class OperatorModel:
    """Calm operator latencies of one processor; `measured` maps signatures to log-residuals, shrunk."""

    law: CostLaw = PRIOR_LAW
    trees: Boosted | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    seen_types: frozenset[str] = frozenset()

    @classmethod
    def fit(cls, samples: Sequence[OperatorSample]) -> "OperatorModel":
        """Fit on one sample per distinct operator; no sample at all gives the physical prior."""
        if not samples:
            return PRIOR
        operators = [sample.operator for sample in samples]
        latency_us = np.maximum([sample.latency_us for sample in samples], FLOOR_US)
        weights = (
            np.minimum(np.sqrt([float(sample.count) for sample in samples]), _MOST_WEIGHT) / _MOST_WEIGHT
        )
        law = CostLaw.fit(operators, latency_us, weights)
        residuals = np.log(latency_us) - law.log_latency_us(operators)
        measured = {
            sample.operator.signature: float(residual) * sample.count / (sample.count + _SHRINK_RUNS)
            for sample, residual in zip(samples, residuals, strict=True)
        }
        return cls(law, None, measured, frozenset(operator.op_type for operator in operators))

    def log_latency_us(self, operators: Sequence[Operator], *, remember: bool = True) -> Floats:
        """Return the log calm latency of each operator; `remember=False` ignores measured signatures."""
        if not operators:
            return np.empty(0)
        logs = self.law.log_latency_us(operators)
        if self.trees is not None:
            logs = logs + self.trees.predict(feature_matrix(list(operators)))
        if remember:
            logs = logs + np.array([self.measured.get(operator.signature, 0.0) for operator in operators])
        return np.asarray(np.clip(logs, np.log(FLOOR_US), 25.0), dtype=np.float64)

    def fallback(self, operators: Sequence[Operator]) -> tuple[str, ...]:
        """Return the operator types, sorted, that were never fitted here."""
        return tuple(sorted({operator.op_type for operator in operators} - self.seen_types))

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain data."""
        return {
            "features_version": FEATURES_VERSION,
            "law": {node: list(rates) for node, rates in self.law.log_rates.items()},
            "trees": None if self.trees is None else self.trees.text,
            "measured": dict(self.measured),
            "seen_types": sorted(self.seen_types),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OperatorModel":
        """Rebuild a model; raise `ValueError` when it was fitted on another version of the features."""
        if data["features_version"] != FEATURES_VERSION:
            raise ValueError(
                f"fitted on operator features {data['features_version']}, not {FEATURES_VERSION}: refit"
            )
        return cls(
            CostLaw({node: tuple(rates) for node, rates in data["law"].items()}),
            None if data["trees"] is None else Boosted(data["trees"]),
            dict(data["measured"]),
            frozenset(data["seen_types"]),
        )


PRIOR = OperatorModel()
"""A processor nobody has measured: the law's prior rates."""
