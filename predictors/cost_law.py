"""A physical law of operator latency, fitted per kind of operator with partial pooling.

latency = start + executed MACs / compute rate + activation bytes / memory rate + weight bytes / weight rate

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

from predictors.families import DENSE, WINDOWED, family
from predictors.geometry import kernel, strides
from predictors.graph import Operator
from predictors.work import work

Floats = NDArray[np.float64]

TERMS = ("start", "macs", "activation_bytes", "weight_bytes")

PRIOR_LOG = (0.7, -9.2, -8.3, -9.0)
"""Before any measurement: 2 µs to start, 10 GMAC/s, 4 GB/s of activations, 8 GB/s of weights."""

_FREEDOM = np.array(
    [[3.0, 3.0, 3.0, 3.0], [0.4, 1.0, 1.0, 1.0], [0.3, 0.5, 0.5, 0.5], [0.2, 0.25, 0.25, 0.25]]
)
"""Prior standard deviations of the log rates around their parent's, by depth in the tree.

Starting a kernel costs about the same whatever it computes."""

_FREEDOM_NEAR_SIBLINGS = np.array(
    [[0.25, 0.25, 0.25, 0.25], [0.25, 0.5, 0.5, 0.5], [0.2, 0.4, 0.4, 0.4], [0.15, 0.3, 0.3, 0.3]]
)
"""The same, around what sibling processors have there (after their overall speed is taken out)."""

_SIBLINGS_COUNT = 1.0
"""How many samples the nearest siblings' overall speed is worth."""

_SHARE = (0.02, 0.1, 0.3, 1.0)
"""How much an operator weighs at each depth: upper levels should know little more than the usual."""

_NOISE = 0.15
_RESOLUTION_US = 0.5
_HUBER = 0.5
_MOST_STEPS = 25


@lru_cache(maxsize=65_536)
def kinds(operator: Operator) -> tuple[str, str, str, str]:
    """Return an operator's path in the tree of kinds, from the root down."""
    own = family(operator)
    kind = operator.op_type
    if own in DENSE or own in WINDOWED:
        window = kernel(operator) or (0,)
        kind = f"{own} {window[0]}x{window[-1]}/{strides(operator)[0]}"
    bound = "compute" if own in DENSE or own == "depthwise_convolution" else "memory"
    return "", f"bound:{bound}", f"family:{own}", f"kind:{kind}"


@lru_cache(maxsize=65_536)
def _terms(operator: Operator) -> tuple[float, float, float, float]:
    return 1.0, *work(operator)


@dataclass(frozen=True)
class CostLaw:
    """Log rates by node of the tree of kinds, in the order of `TERMS`, and each node's parent."""

    log_rates: Mapping[str, tuple[float, ...]]
    parents: Mapping[str, str]

    @classmethod
    def fit(
        cls,
        operators: Sequence[Operator],
        latency_us: Floats,
        weights: Floats,
        siblings: "CostLaw | None" = None,
    ) -> "CostLaw":
        """Fit on positive latencies of shape (n,); `weights` say how well each is known (about 1).

        With the law of sibling processors a node's prior is its own parent plus the siblings' step from
        parent to node, and nodes that only siblings measured are reached by the same steps.
        """
        siblings = siblings or PRIOR_LAW
        terms, logs = np.array([_terms(operator) for operator in operators]), np.log(latency_us)
        precision = weights / (_NOISE**2 + (_RESOLUTION_US / (latency_us + _RESOLUTION_US)) ** 2)
        paths = np.array([kinds(operator) for operator in operators])
        log_rates: dict[str, tuple[float, ...]] = {}
        parents: dict[str, str] = {}
        for depth in range(len(_FREEDOM)):
            for node in sorted(set(paths[:, depth].tolist())):
                mask = paths[:, depth] == node
                if depth:
                    parents[node] = str(paths[int(np.argmax(mask)), depth - 1])
                prior = siblings._seen_from(node, parents.get(node), log_rates)
                if not depth and siblings.log_rates:
                    slower = float(np.median(logs - np.log(terms @ np.exp(prior))))
                    prior = prior + slower * len(logs) / (len(logs) + _SIBLINGS_COUNT)
                freedom = (_FREEDOM_NEAR_SIBLINGS if node in siblings.log_rates else _FREEDOM)[depth]
                rates = _estimate(terms[mask], logs[mask], precision[mask] * _SHARE[depth], prior, freedom)
                log_rates[node] = tuple(rates.tolist())
        for node, parent in siblings.parents.items():
            if node not in log_rates:
                log_rates[node] = tuple(siblings._seen_from(node, parent, log_rates).tolist())
                parents[node] = parent
        return cls(log_rates, parents)

    def _seen_from(self, node: str, parent: str | None, log_rates: Mapping[str, tuple[float, ...]]) -> Floats:
        """Return the rates expected at a node whose parent has those in `log_rates`."""
        if parent is None:
            return np.array(self.log_rates.get(node, PRIOR_LOG))
        start = np.array(log_rates[parent])
        if node not in self.log_rates or parent not in self.log_rates:
            return start
        return np.asarray(start + np.array(self.log_rates[node]) - np.array(self.log_rates[parent]))

    def scaled(self, log_slower: float) -> "CostLaw":
        """Return the law of a processor that is slower by a factor in everything."""
        moved = {node: tuple(rate + log_slower for rate in rates) for node, rates in self.log_rates.items()}
        return CostLaw(moved, self.parents)

    def log_latency_us(self, operators: Sequence[Operator]) -> Floats:
        """Return the law's log latency of each operator, shape (n,)."""
        rates = np.array([self.rates(operator) for operator in operators])
        terms = np.array([_terms(operator) for operator in operators])
        return np.asarray(np.log(np.sum(np.exp(rates) * terms, axis=1)), dtype=np.float64)

    def rates(self, operator: Operator) -> tuple[float, ...]:
        """Return the log rates of the nearest node of the tree that was measured."""
        for node in reversed(kinds(operator)):
            if node in self.log_rates:
                return self.log_rates[node]
        return PRIOR_LOG


def _estimate(terms: Floats, logs: Floats, precision: Floats, prior: Floats, freedom: Floats) -> Floats:
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
        curvature = jacobian.T @ (jacobian * robust[:, None]) + np.diag(1.0 / freedom**2)
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


PRIOR_LAW = CostLaw({}, {})
"""A processor nobody has measured."""
