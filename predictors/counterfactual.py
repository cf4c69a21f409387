"""What another policy would have measured, from the logs of one that explored.

Every logged execution tells the chance with which its plan was chosen (its propensity). Those in which the
other policy would have chosen the same plan, each weighted by one over that chance, stand for what it would
have done. Weights are self-normalised (Swaminathan and Joachims, NIPS '15): a little bias for far less
variance than plain inverse propensities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from predictors.estimates import Estimate

LEAST_EFFECTIVE = 8.0
"""Effective observations below which nothing is said."""

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """A policy's estimated mean latency in microseconds, and on how many observations' worth it rests.

    `effective_n` is Kish's effective sample size; `supported` the share (0 to 1) of logged decisions in
    which the policy's plan could have been logged at all.
    """

    latency_us: Estimate
    effective_n: float
    supported: float


def value_of(latency_us: ArrayLike, propensity: ArrayLike, agrees: ArrayLike) -> PolicyValue:
    """Return what a policy would have measured.

    All have shape (n,): what was measured, the chance (above 0, up to 1) of the plan that ran, and whether
    the policy would have chosen that plan. A decision that was certain of a plan which the policy would
    not have chosen says nothing of it and is left out.
    """
    latency = np.asarray(latency_us, dtype=np.float64)
    chance = np.asarray(propensity, dtype=np.float64)
    same = np.asarray(agrees, dtype=bool)
    could = same | (chance < 1.0)
    supported = float(could.mean()) if len(could) else 0.0
    weight = np.where(same, 1.0 / np.maximum(chance, 1e-9), 0.0)
    total = weight.sum()
    effective = float(total**2 / max((weight**2).sum(), 1e-300)) if total > 0 else 0.0
    n = int(same.sum())
    if effective < LEAST_EFFECTIVE:
        return PolicyValue(Estimate(None, None, None, n), effective, supported)
    value = float(weight @ latency / total)
    # The linearised variance of a ratio of sums; few effective observations have fat tails.
    deviation = float(np.sqrt(((weight * (latency - value)) ** 2).sum()) / total)
    reach = float(stdtrit(effective - 1, (1 + _LEVEL) / 2)) * deviation
    return PolicyValue(Estimate(value, value - reach, value + reach, n), effective, supported)
