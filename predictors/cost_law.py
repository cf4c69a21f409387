"""A physical law of operator latency, fitted per kind of operator with partial pooling.

latency = start + MACs / compute rate + activation bytes / memory rate + weight bytes / weight rate

Every rate is positive and lives in log space. Kinds form a tree: all operators, compute-bound or
memory-bound, family, kind (kernel and stride of convolutions, else the type). Each level is a Bayesian
estimate with its parent as the prior (partial pooling: Gelman & Hill, Data Analysis Using Regression and
Multilevel Models, chapter 12), so a kind with thin data leans on its family and an unknown kind answers as
its family does. Errors are of log latency, Huber's loss (Huber 1964) and iterated Gauss-Newton steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from predictors import cost
from predictors.features import family
from predictors.graph import Operator

Floats = NDArray[np.float64]

TERMS = ("start", "macs", "activation_bytes", "weight_bytes")

PRIOR_LOG = (0.7, -9.2, -8.3, -9.0)
"""Before any measurement: 2 µs to start, 10 GMAC/s, 4 GB/s of activations, 8 GB/s of weights."""

_COMPUTE = frozenset(
    {
        *("convolution", "pointwise_convolution", "depthwise_convolution", "grouped_convolution"),
        *("transposed_convolution", "fully_connected", "matrix_product", "attention", "recurrent"),
    }
)
_FREEDOM = (3.0, 1.0, 0.7, 0.4)
"""Prior standard deviation of a log rate around its parent's, by depth in the tree."""

_SHARE = (0.1, 0.2, 0.5, 1.0)
"""How much an operator weighs at each depth: upper levels should know little more than the usual."""

_NOISE = 0.15
_RESOLUTION_US = 0.5
_HUBER = 0.5
_MOST_STEPS = 25


def kinds(operator: Operator) -> tuple[str, str, str, str]:
    """Return an operator's path in the tree of kinds, from the root down."""
    own = family(operator)
    bound = "compute" if own in _COMPUTE else "memory"
    kind = operator.op_type
    if "convolution" in own:
        kernel = cost.kernel_shape(operator) or (0,)
        strides = cost.integers_attribute(operator, "strides") or (1,)
        kind = f"{own} {kernel[0]}x{kernel[-1]}/{strides[0]}"
    return "", f"bound:{bound}", f"family:{own}", f"kind:{kind}"


@lru_cache(maxsize=65_536)
def _terms(operator: Operator) -> tuple[float, float, float, float]:
    activations = cost.input_bytes(operator) + cost.output_bytes(operator)
    return 1.0, cost.macs(operator), activations, cost.weight_bytes(operator)


@dataclass(frozen=True)
class CostLaw:
    """Log rates by node of the tree of kinds, each a tuple in the order of `TERMS`."""

    log_rates: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(cls, operators: Sequence[Operator], latency_us: Floats, weights: Floats) -> "CostLaw":
        """Fit on positive latencies of shape (n,); `weights` say how well each is known (about 1)."""
        terms, logs = np.array([_terms(operator) for operator in operators]), np.log(latency_us)
        precision = weights / (_NOISE**2 + (_RESOLUTION_US / (latency_us + _RESOLUTION_US)) ** 2)
        paths = [kinds(operator) for operator in operators]
        log_rates: dict[str, tuple[float, ...]] = {}
        for depth in range(len(_FREEDOM)):
            for node in sorted({path[depth] for path in paths}):
                mask = np.array([path[depth] == node for path in paths])
                parent = paths[int(np.argmax(mask))][depth - 1] if depth else None
                prior = np.array(PRIOR_LOG if parent is None else log_rates[parent])
                rates = _estimate(
                    terms[mask], logs[mask], precision[mask] * _SHARE[depth], prior, _FREEDOM[depth]
                )
                log_rates[node] = tuple(rates.tolist())
        return cls(log_rates)

    def log_latency_us(self, operators: Sequence[Operator]) -> Floats:
        """Return the law's log latency of each operator, shape (n,)."""
        rates = np.array([self._rates(operator) for operator in operators])
        terms = np.array([_terms(operator) for operator in operators])
        return np.asarray(np.log(np.sum(np.exp(rates) * terms, axis=1)), dtype=np.float64)

    def _rates(self, operator: Operator) -> tuple[float, ...]:
        for node in reversed(kinds(operator)):
            if node in self.log_rates:
                return self.log_rates[node]
        return PRIOR_LOG


def _estimate(terms: Floats, logs: Floats, precision: Floats, prior: Floats, freedom: float) -> Floats:
    """Return the log rates of greatest posterior density, by damped Gauss-Newton steps."""

    def loss(rates: Floats) -> float:
        misses = np.abs(np.log(terms @ np.exp(rates)) - logs)
        huber = np.where(misses < _HUBER, 0.5 * misses**2, _HUBER * (misses - 0.5 * _HUBER))
        return float(precision @ huber + 0.5 * np.sum(((rates - prior) / freedom) ** 2))

    rates, best, damping = prior.copy(), loss(prior), 1e-3
    for _ in range(_MOST_STEPS):
        parts = np.exp(rates) * terms
        predicted = parts.sum(axis=1)
        jacobian = parts / predicted[:, None]
        misses = np.log(predicted) - logs
        robust = precision * np.minimum(1.0, _HUBER / np.maximum(np.abs(misses), 1e-9))
        curvature = jacobian.T @ (jacobian * robust[:, None]) + np.eye(len(prior)) / freedom**2
        slope = jacobian.T @ (robust * misses) + (rates - prior) / freedom**2
        before = best
        for _ in range(6):
            trial = rates - np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), slope)
            reached = loss(trial)
            if reached < best:
                rates, best, damping = trial, reached, max(damping / 5.0, 1e-6)
                break
            damping *= 5.0
        if before - best < 1e-6 * (1.0 + before):
            break
    return rates


PRIOR_LAW = CostLaw({})
"""A processor nobody has measured."""
