"""Breaks: when a device's newest runs stop telling the next one, because its circumstances changed.

Before a run, evidence e (a constant, silence, jumps of what is read) gives the chance of a break:

    hazard = 1 / (1 + exp(-w · e)),   e = (1, log(1 + silence / s), log(1 + |jump_k| / scale_k), ...)

After the run, which of two predictions came nearer tells more: `fresh` trusts the state, `alone` knows the
context only, and the misses of both are taken to be Laplace distributed. Believed in, a break makes the state
start anew. This is the change point model of Adams & MacKay 2007 (arXiv 0710.3742) with two hypotheses a run
and a hazard that depends on circumstances; w maximises the likelihood of what was predicted beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from predictors.buffer import Row
from predictors.context_features import NAMES
from predictors.usual import READ

Floats = NDArray[np.float64]

_SILENCE_US = 10_000.0
_FORGET_AFTER_LOG_US = np.log(5_000_000.0)
_SCALES = np.array([0.05, 0.05, 0.3, 0.05, 0.05, 0.05, 0.05])
"""What is an ordinary change of each of `READ` from one run to the next."""
_DEFAULT = (-6.0, 0.6, *(0.4 for _ in READ))
_LEAST_ROWS = 100
_MOST_ROWS = 3_000
_PRIOR = 0.05
_LEAST_SCALE, _MOST_SCALE = 0.03, 0.3
_MOST_LOG = 12.0

_SILENCE = NAMES.index("silence_log_us")
_JUMPS = np.array([NAMES.index(f"jump_{name}") for name in READ])


def evidence(rows: Floats) -> Floats:
    """Return what speaks for a break before the runs of these vectors, none of it negative.

    One vector of shape (len(NAMES),) gives (2 + len(READ),), a matrix of n such vectors one row for each.
    """
    jumps = np.abs(rows[..., _JUMPS])
    jumps[np.isnan(jumps)] = 0.0
    speaks = np.ones((*rows.shape[:-1], 2 + len(READ)))
    speaks[..., 1] = np.log1p(np.expm1(rows[..., _SILENCE]) / _SILENCE_US)
    speaks[..., 2:] = np.log1p(jumps / _SCALES)
    return speaks


@dataclass(frozen=True, slots=True)
class Breaks:
    """Weights of the evidence, and the typical miss (log) of a prediction while nothing breaks."""

    weights: tuple[float, ...] = _DEFAULT
    scale: float = 0.1

    def hazard(self, row: Floats) -> float:
        """Return the chance (0 to 1) of a break before a run; 1 where there is no state to break with."""
        if not isfinite(row[_SILENCE]):
            return 1.0
        return 1.0 / (1.0 + exp(-min(max(float(evidence(row) @ np.array(self.weights)), -30.0), 30.0)))

    def share(self, row: Floats) -> float:
        """Return how far (0 to 1) the state counts in a run's median.

        The median of a mixture lies nearer to its likelier part than the mean does: odds are squared. A
        state counts a half after five seconds of silence, whatever was learned.
        """
        hazard = self.hazard(row)
        stays = (1.0 - hazard) ** 2
        return stays / (stays + hazard**2) * _remembered(row)

    def stays(self, row: Floats) -> float:
        """Return the chance (0 to 1) that the state still tells a run: no break, and no long silence."""
        return (1.0 - self.hazard(row)) * _remembered(row)

    def broke(self, row: Floats, fresh_miss: float, alone_miss: float) -> bool:
        """Return whether a break is the likelier story once a run missed its two predictions so (logs)."""
        hazard = self.hazard(row)
        gained = min(max((abs(fresh_miss) - abs(alone_miss)) / self.scale, -_MOST_LOG), _MOST_LOG)
        return hazard * exp(gained) > 1.0 - hazard

    @classmethod
    def fit(cls, rows: Sequence[Row]) -> "Breaks":
        """Return the likeliest weights for runs predicted beforehand; the default where they are too few."""
        judged = [row for row in rows if isfinite(row.fresh_log) and isfinite(row.features[_SILENCE])]
        judged = judged[-_MOST_ROWS:]
        if len(judged) < _LEAST_ROWS:
            return cls()
        fresh = np.abs([row.stretch - row.fresh_log for row in judged])
        alone = np.abs([row.stretch - row.alone_log for row in judged])
        scale = float(np.clip(fresh.mean(), _LEAST_SCALE, _MOST_SCALE))
        likelier = np.exp(np.clip((fresh - alone) / scale, -_MOST_LOG, _MOST_LOG))
        signs = evidence(np.array([row.features for row in judged]))
        start = np.array(_DEFAULT)

        def loss(weights: Floats) -> tuple[float, Floats]:
            hazard = 1.0 / (1.0 + np.exp(-np.clip(signs @ weights, -30.0, 30.0)))
            likelihood = 1.0 - hazard + hazard * likelier
            slope = hazard * (1.0 - hazard) * (likelier - 1.0) / likelihood
            away = weights - start
            return (
                float(_PRIOR * away @ away - np.log(likelihood).sum()),
                2.0 * _PRIOR * away - slope @ signs,
            )

        bounds = [(None, None)] + [(0.0, None)] * (len(start) - 1)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(tuple(np.round(found.x, 4).tolist()), round(scale, 4))


def _remembered(row: Floats) -> float:
    """Return how much (0 to 1) silence has left of a state; 0 where there is none."""
    if not isfinite(row[_SILENCE]):
        return 0.0
    return 1.0 / (1.0 + exp(2.0 * min(float(row[_SILENCE] - _FORGET_AFTER_LOG_US), 30.0)))
