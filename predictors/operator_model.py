"""What each operator costs in calm conditions: a log-linear base per family, boosted trees on its residual.

The base extrapolates where trees cannot. Families with thin data lean on a base pooled over all operators
(partial pooling by ridge towards the pooled coefficients), and signatures that were measured often lean on
their own measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.boosted import Boosted
from predictors.features import CATEGORICAL, FAMILIES, FEATURES_VERSION, NAMES, family, feature_matrix
from predictors.graph import Operator

Floats = NDArray[np.float64]

FLOOR_US = 0.3
"""Latencies are whole microseconds, so 0 means less than one; logarithms start here."""

_BASE = tuple(
    NAMES.index(name) for name in ("log_macs", "log_input_bytes", "log_weight_bytes", "log_output_bytes")
)
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
_RIDGE_POOLED = 0.3
_RIDGE_FAMILY = 3.0
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

    pooled: tuple[float, ...]
    families: Mapping[str, tuple[float, ...]]
    trees: Boosted | None
    measured: Mapping[str, float] = field(default_factory=dict)
    seen_types: frozenset[str] = frozenset()

    @classmethod
    def fit(cls, samples: Sequence[OperatorSample]) -> "OperatorModel":
        """Fit on one sample per distinct operator; no sample at all gives the physical prior."""
        if not samples:
            return PRIOR
        operators = [sample.operator for sample in samples]
        rows = feature_matrix(operators)
        logs = np.log(np.maximum([sample.latency_us for sample in samples], FLOOR_US))
        weights = np.minimum(np.sqrt([float(sample.count) for sample in samples]), 8.0)
        design = _design(rows)
        pooled = _ridge(design, logs, weights, np.array(PRIOR.pooled), _RIDGE_POOLED)
        kinds = [family(operator) for operator in operators]
        families: dict[str, tuple[float, ...]] = {}
        base = design @ pooled
        for kind in sorted(set(kinds)):
            mask = np.array([other == kind for other in kinds])
            own = _ridge(design[mask], logs[mask], weights[mask], pooled, _RIDGE_FAMILY)
            families[kind] = tuple(own.tolist())
            base[mask] = design[mask] @ own
        trees = None
        if len(samples) >= 20:
            trees = Boosted.fit(
                rows, logs - base, rounds=_ROUNDS, parameters=_TREES, weights=weights, categorical=CATEGORICAL
            )
            base = base + trees.predict(rows)
        measured = {
            sample.operator.signature: float(residual) * sample.count / (sample.count + _SHRINK_RUNS)
            for sample, residual in zip(samples, logs - base, strict=True)
        }
        return cls(
            tuple(pooled.tolist()), families, trees, measured, frozenset(op.op_type for op in operators)
        )

    def log_latency_us(self, operators: Sequence[Operator], *, remember: bool = True) -> Floats:
        """Return the log calm latency of each operator; `remember=False` ignores measured signatures."""
        if not operators:
            return np.empty(0)
        rows = feature_matrix(list(operators))
        design = _design(rows)
        coefficients = np.array([self.families.get(family(operator), self.pooled) for operator in operators])
        logs = np.sum(design * coefficients, axis=1)
        if self.trees is not None:
            logs = logs + self.trees.predict(rows)
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
            "pooled": list(self.pooled),
            "families": {kind: list(values) for kind, values in self.families.items()},
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
            tuple(data["pooled"]),
            {kind: tuple(values) for kind, values in data["families"].items() if kind in FAMILIES},
            None if data["trees"] is None else Boosted(data["trees"]),
            dict(data["measured"]),
            frozenset(data["seen_types"]),
        )


def _design(rows: Floats) -> Floats:
    """Return the base's inputs: a constant and four log costs, scaled so that a ridge treats them alike."""
    return np.column_stack([np.ones(len(rows)), rows[:, _BASE] / 10.0])


def _ridge(design: Floats, targets: Floats, weights: Floats, prior: Floats, strength: float) -> Floats:
    """Return weighted least squares shrunk towards `prior`; the constant is shrunk a tenth as much."""
    penalty = np.full(design.shape[1], strength)
    penalty[0] *= 0.1
    gram = design.T @ (design * weights[:, None]) + np.diag(penalty)
    moment = design.T @ (weights * (targets - design @ prior))
    return np.asarray(prior + np.linalg.solve(gram, moment), dtype=np.float64)


PRIOR = OperatorModel(pooled=(-3.0, 5.0, 1.0, 1.0, 1.0), families={}, trees=None)
"""A processor nobody has measured: about a microsecond for a kilobyte or ten thousand products."""
