"""What a law of costs leaves over, learned from neighbours: a Gaussian process over operators.

Operators whose log features are close within a family share their residual (squared exponential kernel),
types and families have an offset of their own, and far from all that was measured nothing is corrected:
unlike trees it neither extrapolates a trend nor jumps between neighbours. Rasmussen and Williams,
Gaussian Processes for Machine Learning (2006), chapter 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from predictors.families import FAMILIES
from predictors.features import NAMES, feature_matrix
from predictors.graph import Operator

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_POINTS = 400
"""Beyond, the points are those that tell most of the others: predicting takes time with their number."""

_BATCH = 1_000
_MOST_CANDIDATES = 1_500
_TOLD = 1e-3
"""Points whose prior variance the others leave over less than this share of tell nothing new."""

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
        """Fit on log residuals, shape (n,), n at least 1; `precision` is how well each is known (about 1).

        All residuals count, however few points carry them (subset of regressors: Rasmussen and Williams,
        chapter 8.3.1).
        """
        sites = _Sites.of(operators, {name: code for code, name in enumerate(_types(operators))})
        chosen = _telling(sites, prior) if len(operators) > MOST_POINTS else np.arange(len(operators))
        points = sites.at(chosen)
        certain = np.maximum(precision, 1e-6) / prior.noise**2
        if len(chosen) == len(operators):
            gram = _covariance(points, points, prior) + np.diag(1.0 / certain)
            target = residuals
        else:
            across = _covariance(sites, points, prior)
            gram = _covariance(points, points, prior) + across.T @ (across * certain[:, None])
            gram[np.diag_indices_from(gram)] += 1e-9 * np.trace(gram) / len(gram)
            target = across.T @ (certain * residuals)
        weights = cho_solve(cho_factor(gram, lower=True), target)
        families = tuple(FAMILIES[code] for code in points.families.tolist())
        op_types = tuple(operators[index].op_type for index in chosen.tolist())
        return cls(prior, points.places, families, op_types, np.asarray(weights, dtype=np.float64))

    def predict(self, operators: Sequence[Operator]) -> Floats:
        """Return the log correction of each operator, shape (n,).

        Operators are near to points of their own family only; what families and types have as a whole is
        one number each.
        """
        codes, blocks, by_type = self._sums
        sites = _Sites.of(operators, codes)
        logs = by_type[sites.op_types]
        for family in np.unique(sites.families).tolist():
            if family not in blocks:
                continue
            points, weights = blocks[family]
            own = np.flatnonzero(sites.families == family)
            logs[own] += self.prior.family**2 * weights.sum()
            for first in range(0, len(own), _BATCH):
                part = own[first : first + _BATCH]
                logs[part] += _near(sites.places[part], points, self.prior) @ weights
        # Rounded, because matrix products differ in the last bit with memory layout and batch size.
        return np.asarray(np.round(logs, 9), dtype=np.float64)

    @cached_property
    def _sums(self) -> tuple[dict[str, int], dict[int, tuple[Floats, Floats]], Floats]:
        """Codes of types, points and weights by family, and what each type adds (the last: none)."""
        codes = {op_type: code for code, op_type in enumerate(sorted(set(self.op_types)))}
        by_type = np.zeros(len(codes) + 1)
        np.add.at(by_type, [codes[op_type] for op_type in self.op_types], self.weights)
        families = np.array([FAMILIES.index(name) for name in self.families], dtype=np.int64)
        blocks = {
            code: (self.points[families == code], self.weights[families == code])
            for code in np.unique(families).tolist()
        }
        return codes, blocks, self.prior.op_type**2 * by_type

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


class _Sites(NamedTuple):
    """Operators as the kernel sees them: scaled coordinates, family and type codes (-1: no such type)."""

    places: Floats
    families: Codes
    op_types: Codes

    @classmethod
    def of(cls, operators: Sequence[Operator], codes: Mapping[str, int]) -> "_Sites":
        rows = feature_matrix(operators)
        op_types = np.array([codes.get(operator.op_type, -1) for operator in operators], dtype=np.int64)
        return cls(coordinates(rows), rows[:, _FAMILY].astype(np.int64), op_types)

    def at(self, chosen: Codes) -> "_Sites":
        return _Sites(self.places[chosen], self.families[chosen], self.op_types[chosen])


def _types(operators: Sequence[Operator]) -> list[str]:
    return sorted({operator.op_type for operator in operators})


def _near(places: Floats, points: Floats, prior: Prior) -> Floats:
    """Return the covariance by distance, shape (n, n_points)."""
    squares = np.sum(places**2, axis=1)[:, None] + np.sum(points**2, axis=1)
    apart = np.maximum(squares - 2.0 * (places @ points.T), 0.0)
    return np.asarray(prior.near**2 * np.exp(apart / (-2.0 * prior.reach)), dtype=np.float64)


def _covariance(sites: _Sites, points: _Sites, prior: Prior) -> Floats:
    """Return the prior covariance, shape (n, n_points)."""
    near = prior.family**2 + _near(sites.places, points.places, prior)
    same_family = sites.families[:, None] == points.families
    same_type = sites.op_types[:, None] == points.op_types
    return np.asarray(same_family * near + same_type * prior.op_type**2, dtype=np.float64)


def _telling(sites: _Sites, prior: Prior) -> Codes:
    """Return up to `MOST_POINTS` sites, each the one that those before it leave most uncertain.

    A pivoted Cholesky factorisation (Harbrecht, Peters and Schneider 2012), stopped early; of very many
    sites an even choice stands for election.
    """
    candidates = np.unique(np.linspace(0, len(sites.places) - 1, _MOST_CANDIDATES).astype(int))
    places, families, op_types = sites.at(candidates)
    squares = np.sum(places**2, axis=1)
    whole = prior.family**2 + prior.near**2 + prior.op_type**2
    left = np.full(len(places), whole)
    factor = np.zeros((MOST_POINTS, len(places)))
    chosen: list[int] = []
    while len(chosen) < MOST_POINTS and left.max() > _TOLD * whole:
        pivot, rank = int(np.argmax(left)), len(chosen)
        apart = np.maximum(squares + squares[pivot] - 2.0 * (places @ places[pivot]), 0.0)
        near = prior.family**2 + prior.near**2 * np.exp(apart / (-2.0 * prior.reach))
        column = (families == families[pivot]) * near + (op_types == op_types[pivot]) * prior.op_type**2
        column -= factor[:rank, pivot] @ factor[:rank]
        factor[rank] = column / np.sqrt(left[pivot])
        left = np.maximum(left - factor[rank] ** 2, 0.0)
        left[pivot] = 0.0
        chosen.append(pivot)
    return np.asarray(candidates[sorted(chosen)], dtype=np.int64)


def coordinates(rows: Floats) -> Floats:
    """Return scaled coordinates, shape (n, n_columns); what an operator lacks counts as 0.

    They are rounded so that models stay small as text.
    """
    scaled = np.nan_to_num(rows[:, _COLUMNS], nan=0.0) / _WIDTHS
    return np.asarray(np.round(scaled, 5), dtype=np.float64, order="C")
