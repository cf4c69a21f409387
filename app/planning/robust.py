"""Robust non-negative regression with priors: what every cost learned from executed plans is fitted by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 20
_HUBER = 1.345
_BISQUARE = 4.685
"""Huber's and Tukey's constants: 95 % as efficient as least squares where noise is normal."""

_LEAST_SCALE = 0.03
"""Relative error that no measurement of a few microseconds goes below."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What a coefficient is held for before there is data, as so many observations of typical weight."""

    value: float
    observations: float


def fit(design: Floats, measured: Floats, priors: Sequence[Prior]) -> Floats:
    """Return non-negative coefficients, shape (k,), of `design` (n, k) for `measured` (n,).

    Residuals count relative to the prediction, so that short stages weigh as much as long ones and nothing
    is biased low. Huber's weights, with the median absolute residual as scale, bound what an outlier does
    (Huber, Robust Statistics, 1981, section 7.8); from where they lead to, Tukey's bisquare weights drop
    outliers altogether, since hand-overs are only ever delayed and bounded harm adds up. A prior far from
    what all measurements say is an outlier as well; a coefficient that they do not determine stays at its
    prior.
    """
    start = np.array([prior.value for prior in priors])
    if not len(measured):
        return start
    from scipy.optimize import nnls  # Loads slowly, and few processes fit anything.

    measured = np.maximum(measured, 0.1)
    predicted, weight, trust = measured, np.ones(len(measured)), np.ones(len(priors))
    heaviness = np.sqrt([prior.observations for prior in priors])
    solution = start
    for weigh in (_huber, _bisquare):
        for _ in range(_ROUNDS):
            rows = design / predicted[:, None]
            strength = _strength(rows, priors)
            held = strength * trust
            left = np.concatenate([rows * weight[:, None], np.diag(held)])
            right = np.concatenate([measured / predicted * weight, held * start])
            found, _ = nnls(left, right)
            moved = float(np.abs(design @ (found - solution)).max() / max(float(predicted.max()), 1e-9))
            solution = found
            predicted = np.maximum(design @ solution, 0.1)
            residual = np.abs(measured / predicted - 1.0)
            scale = max(float(np.median(residual)) / 0.6745, _LEAST_SCALE)
            weight = weigh(residual, scale)
            trust = _huber(strength / heaviness * np.abs(solution - start), scale)
            if moved < 1e-6:
                break
    return np.asarray(solution)


def _huber(residual: Floats, scale: float) -> Floats:
    """Return square roots of Huber's weights: they multiply residuals that are squared afterwards."""
    return np.asarray(np.sqrt(np.minimum(1.0, _HUBER * scale / np.maximum(residual, 1e-12))))


def _bisquare(residual: Floats, scale: float) -> Floats:
    """Return square roots of Tukey's weights, which are 0 for what lies too far off."""
    return np.asarray(1.0 - np.minimum(residual / (_BISQUARE * scale), 1.0) ** 2)


def _strength(rows: Floats, priors: Sequence[Prior]) -> Floats:
    """Return the weight of each prior: its number of observations that are typical for its coefficient."""
    scales = np.ones(len(priors))
    for place, column in enumerate(rows.T):
        present = column[column > 0]
        # What the data says nothing of is held by the prior alone, however light.
        if present.size:
            scales[place] = np.median(present)
    return np.asarray(scales * np.sqrt([prior.observations for prior in priors]))
