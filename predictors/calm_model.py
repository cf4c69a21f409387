"""What a whole run costs in calm conditions: its operators, the gaps between them, the profiler's price.

Node timings do not add up to a run. With S the sum of its n node timings, a profiled run takes
S + gap · n + start, and without the profiler S - price · n + start: the profiler's own work sits inside and
between the nodes. Both laws are fitted by least squares on relative errors and hold for networks that were
never measured; networks that were lean on their own measured totals.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.cost import input_bytes, macs, output_bytes, weight_bytes
from predictors.graph import Operator
from predictors.operator_model import PRIOR, OperatorModel
from predictors.run import RunQuery

Floats = NDArray[np.float64]

_CACHE_SIZE = 512
_MEMORY_BOUND_MACS_PER_BYTE = 10.0


@dataclass(frozen=True)
class RunLaw:
    """total = sum + per_node_us · n + start_us, never less than a third of the sum."""

    per_node_us: float = 0.0
    start_us: float = 0.0

    def total_us(self, operators_us: float, node_count: int) -> float:
        """Return the whole run's latency in microseconds."""
        return max(operators_us + self.per_node_us * node_count + self.start_us, operators_us / 3.0, 1.0)


@dataclass(frozen=True)
class KnownModel:
    """What calm runs of one network measured.

    `log_us` and `count` are indexed by whether the profiler ran (0 no, 1 yes); a level nobody measured is
    taken from the other by the laws. The rest describes its kernels for runs that do not list them.
    """

    log_us: tuple[float, float]
    count: tuple[int, int]
    operators_us: float
    node_count: int
    memory_share: float


@dataclass(frozen=True)
class Calm:
    """A run's calm expectation: log of its total, of each operator, and what shapes its slowdown."""

    log_total_us: float
    log_operators_us: Floats
    operators_us: float
    node_count: int
    memory_share: float
    learned: float
    fallback: tuple[str, ...]
    known: bool


@dataclass
class CalmModel:
    """Operators plus run laws plus known networks of one processor, profiled in calm conditions."""

    operators: OperatorModel = PRIOR
    profiled: RunLaw = RunLaw()
    unprofiled: RunLaw = RunLaw()
    known: Mapping[str, KnownModel] = field(default_factory=dict)
    log_typical_us: float = log(20_000.0)
    _cache: dict[tuple[int, str, bool], tuple[tuple[Operator, ...], Calm]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def reference(self) -> str:
        """Eight characters that tell this calm profile from others."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:8]

    def calm(self, query: RunQuery) -> Calm:
        """Return the calm expectation; constant time once a network's kernel tuple has been met.

        The cache is keyed by the identity of `query.operators`, so hand the same tuple in again for the same
        network (intern it where runs are decoded).
        """
        place = (id(query.operators), query.model, query.profiled)
        hit = self._cache.get(place)
        if hit is not None and hit[0] is query.operators:
            return hit[1]
        calm = self._compute(query)
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        self._cache[place] = (query.operators, calm)
        return calm

    def law(self, profiled: bool) -> RunLaw:
        """Return the law of profiled or of unprofiled runs."""
        return self.profiled if profiled else self.unprofiled

    def _compute(self, query: RunQuery) -> Calm:
        known = self.known.get(query.model)
        if not query.operators:
            return self._without_operators(query, known)
        operators = query.operators
        logs = self.operators.log_latency_us(operators)
        latencies = np.exp(logs)
        total = float(latencies.sum())
        log_total = log(self.law(query.profiled).total_us(total, len(operators)))
        if known is not None:
            log_total = known_level(known, query.profiled, log_total, self)
        fallback = self.operators.fallback(operators)
        learned = sum(operator.op_type not in fallback for operator in operators) / len(operators)
        share = memory_share(operators, latencies)
        return Calm(log_total, logs, total, len(operators), share, learned, fallback, known is not None)

    def _without_operators(self, query: RunQuery, known: KnownModel | None) -> Calm:
        if known is None:
            return Calm(self.log_typical_us, np.empty(0), exp(self.log_typical_us), 0, 0.5, 0.0, (), False)
        log_total = known_level(known, query.profiled, known.log_us[not query.profiled], self)
        return Calm(
            log_total, np.empty(0), known.operators_us, known.node_count, known.memory_share, 1.0, (), True
        )

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain data."""
        return {
            "operators": self.operators.to_json(),
            "profiled": asdict(self.profiled),
            "unprofiled": asdict(self.unprofiled),
            "known": {model: asdict(entry) for model, entry in self.known.items()},
            "log_typical_us": self.log_typical_us,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CalmModel":
        """Rebuild a model from plain data."""
        known = {
            model: KnownModel(
                tuple(entry["log_us"]),
                tuple(entry["count"]),
                entry["operators_us"],
                entry["node_count"],
                entry["memory_share"],
            )
            for model, entry in data["known"].items()
        }
        return cls(
            OperatorModel.from_json(data["operators"]),
            RunLaw(**data["profiled"]),
            RunLaw(**data["unprofiled"]),
            known,
            data["log_typical_us"],
        )


def known_level(known: KnownModel, profiled: bool, fallback_log_us: float, model: CalmModel) -> float:
    """Return a known network's log latency: its own measurement, else the other kind's, moved by the laws."""
    if known.count[profiled]:
        return known.log_us[profiled]
    if known.count[not profiled] and known.operators_us > 0:
        own, other = model.law(profiled), model.law(not profiled)
        size = (known.operators_us, known.node_count)
        return known.log_us[not profiled] + log(own.total_us(*size) / other.total_us(*size))
    return fallback_log_us


def memory_share(operators: Sequence[Operator], latencies_us: Floats) -> float:
    """Return the share (0 to 1) of calm time in operators that compute little per byte moved."""
    bound = [
        macs(operator)
        < _MEMORY_BOUND_MACS_PER_BYTE
        * (input_bytes(operator) + weight_bytes(operator) + output_bytes(operator))
        for operator in operators
    ]
    total = float(latencies_us.sum())
    return float(latencies_us[np.array(bound)].sum() / total) if total > 0 else 0.5
