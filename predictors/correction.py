"""What a law of costs leaves over, learned from neighbours: a Gaussian process over operators.

Operators whose log features are close within a family share their residual (squared exponential kernel),
types and families have an offset of their own, and far from all that was measured nothing is corrected:
unlike trees it neither extrapolates a trend nor jumps between neighbours. Rasmussen and Williams,
Gaussian Processes for Machine Learning (2006), chapter 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from predictors.families import FAMILIES
from predictors.features import NAMES, feature_matrix
from predictors.graph import Operator

Floats = NDArray[np.float64]

MOST_POINTS = 800
"""Beyond, an even choice of the points is kept: fitting takes time with their cube."""

_BATCH = 1_000

_SCALES: Mapping[str, float] = {
    **{"log_executed_macs": 4.0, "log_input_bytes": 3.0, "log_weight_bytes": 3.0, "log_output_bytes": 3.0},
    **{"log_out_height": 2.0, "log_out_width": 2.0, "log_in_channels": 2.0, "log_out_channels": 2.0},
    **{"log_patch_bytes": 3.0, "kernel_height": 3.0, "kernel_width": 3.0, "stride": 1.0},
    **{"input_count": 3.0, "in_padding": 1.0, "out_padding": 1.0},
}
"""Distances that count as 1: a factor of about e² to e⁴ in a size, or another hyper-parameter."""

_COLUMNS = [NAMES.index(name) for name in _SCALES]
_WIDTHS = np.array(list(_SCALES.values()))
_FAMILY = NAMES.index("family")

WIDTH = len(_COLUMNS)
"""Number of coordinates."""


@dataclass(frozen=True)
class Prior:
    """Standard deviations, in log latency, of what is to be learned, and the kernel's reach (squared)."""

    family: float
    op_type: float
    near: float
    reach: float
    noise: float


SHARED = Prior(family=0.3, op_type=0.2, near=0.3, reach=0.64, noise=0.5)
"""For what all processors of a kind have in common."""

OWN = Prior(family=0.15, op_type=0.1, near=0.2, reach=0.64, noise=0.4)
"""For one processor's deviation from what is common."""


@dataclass(frozen=True)
class Correction:
    """Log corrections by operator: the points' coordinates, families and types, and their dual weights."""

    prior: Prior
    points: Floats
    families: tuple[str, ...]
    op_types: tuple[str, ...]
    weights: Floats

    @classmethod
    def fit(
        cls, operators: Sequence[Operator], residuals: Floats, precision: Floats, prior: Prior
    ) -> "Correction":
        """Fit on log residuals, shape (n,), n at least 1; `precision` is how well each is known (about 1)."""
        kept = np.arange(len(operators))
        if len(kept) > MOST_POINTS:
            kept = np.unique(np.linspace(0, len(kept) - 1, MOST_POINTS).astype(int))
        chosen = [operators[index] for index in kept.tolist()]
        rows = feature_matrix(chosen)
        families = tuple(FAMILIES[int(index)] for index in rows[:, _FAMILY])
        op_types = tuple(operator.op_type for operator in chosen)
        empty = cls(prior, coordinates(rows), families, op_types, np.zeros(len(chosen)))
        gram = empty._covariance(chosen)
        gram[np.diag_indices_from(gram)] += prior.noise**2 / np.maximum(precision[kept], 1e-6)
        weights = cho_solve(cho_factor(gram, lower=True), residuals[kept])
        return replace(empty, weights=np.asarray(weights, dtype=np.float64))

    def predict(self, operators: Sequence[Operator]) -> Floats:
        """Return the log correction of each operator, shape (n,)."""
        parts = [
            self._covariance(operators[first : first + _BATCH]) @ self.weights
            for first in range(0, len(operators), _BATCH)
        ]
        # Rounded, because matrix products differ in the last bit with memory layout and batch size.
        return np.asarray(np.round(np.concatenate(parts), 9) if parts else [], dtype=np.float64)

    @cached_property
    def _codes(self) -> tuple[dict[str, int], NDArray[np.int64], NDArray[np.int64]]:
        known = {op_type: code for code, op_type in enumerate(sorted(set(self.op_types)))}
        families = np.array([FAMILIES.index(name) for name in self.families])
        return known, families, np.array([known[op_type] for op_type in self.op_types])

    def _covariance(self, operators: Sequence[Operator]) -> Floats:
        """Return the prior covariance of operators with the points, shape (n, n_points)."""
        known, families, op_types = self._codes
        rows = feature_matrix(operators)
        places = coordinates(rows)
        squares = np.sum(places**2, axis=1)[:, None] + np.sum(self.points**2, axis=1)
        apart = np.maximum(squares - 2.0 * (places @ self.points.T), 0.0)
        near = self.prior.family**2 + self.prior.near**2 * np.exp(-apart / (2.0 * self.prior.reach))
        same_family = rows[:, _FAMILY, None] == families
        codes = np.array([known.get(operator.op_type, -1) for operator in operators])
        same_type = codes[:, None] == op_types
        return np.asarray(same_family * near + same_type * self.prior.op_type**2, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the correction as plain data."""
        return {
            "prior": asdict(self.prior),
            "points": self.points.tolist(),
            "families": list(self.families),
            "op_types": list(self.op_types),
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Correction":
        """Rebuild a correction from plain data."""
        return cls(
            Prior(**data["prior"]),
            np.array(data["points"], dtype=np.float64).reshape(-1, WIDTH),
            tuple(data["families"]),
            tuple(data["op_types"]),
            np.array(data["weights"], dtype=np.float64),
        )


def coordinates(rows: Floats) -> Floats:
    """Return scaled coordinates, shape (n, n_columns); what an operator lacks counts as 0.

    They are rounded so that models stay small as text.
    """
    scaled = np.nan_to_num(rows[:, _COLUMNS], nan=0.0) / _WIDTHS
    return np.asarray(np.round(scaled, 5), dtype=np.float64, order="C")
