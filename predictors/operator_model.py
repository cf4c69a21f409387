"""What each operator costs in calm conditions: a physical law, corrected by neighbours, then by memory.

The law (`predictors.cost_law`) extrapolates to networks nobody measured, where trees and neighbours cannot;
corrections (`predictors.correction`) learn what it leaves over, first what all sibling processors have in
common, then what this one does differently; signatures that were measured lean on their own measurements.

Operators that a processor hands to another one teach nothing of its own law: what they cost there is a model
of its own (`OperatorModel.elsewhere`), and `predictors.fall_backs` tells which operators it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.correction import OWN, SHARED, Correction
from predictors.cost_law import PRIOR_LAW, CostLaw
from predictors.fall_backs import NO_FALL_BACKS, FallBacks
from predictors.features import FEATURES_VERSION
from predictors.graph import Operator

Floats = NDArray[np.float64]

FLOOR_US = 0.3
"""Latencies are whole microseconds, so 0 means less than one; logarithms start here."""

MOST_SAMPLES = 8_000
"""Distinct operators beyond this many add nothing but time: an even choice is kept."""

MOST_LOG = 25.0
"""Latencies end at e²⁵ µs, some twenty hours."""
_RESOLUTION_US = 3.0
_MOST_WEIGHT = 8.0
_SHRINK_RUNS = 3.0
_CACHE_SIZE = 20_000


@dataclass(frozen=True)
class OperatorSample:
    """What was measured of one operator: its mean calm latency in microseconds and how often.

    `fell_back` tells that it ran on another processor than the one it was asked from.
    """

    operator: Operator
    latency_us: float
    count: int
    fell_back: bool = False

    def to_json(self) -> list[Any]:
        """Return the sample as plain data."""
        return [self.operator.to_json(), self.latency_us, self.count, self.fell_back]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "OperatorSample":
        """Rebuild a sample from plain data; older ones do not tell where it ran."""
        return cls(Operator.from_json(data[0]), *data[1:])


@dataclass(frozen=True)
class OperatorModel:
    """Calm operator latencies of one processor; `measured` maps signatures to log-residuals, shrunk.

    `corrections` add up: what siblings have in common, then this processor's own. `seen_types` are the types
    that were timed where `fall_backs` expects them to run. `elsewhere` is what operators cost that fall back;
    None where none ever did.
    """

    law: CostLaw = PRIOR_LAW
    corrections: tuple[Correction, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    seen_types: frozenset[str] = frozenset()
    fall_backs: FallBacks = NO_FALL_BACKS
    elsewhere: "OperatorModel | None" = None
    _cache: dict[Operator, float] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def fit(
        cls, samples: Sequence[OperatorSample], siblings: "OperatorModel | None" = None
    ) -> "OperatorModel":
        """Fit on one sample per operator and place; no sample at all gives the siblings' model, or the prior.

        `siblings` is the model of a reference processor that stands for those of the same kind
        (`predictors.transfer`); however few the samples, what they do not tell is taken from it.
        """
        siblings = siblings or PRIOR
        if not samples:
            return siblings
        here = cls._fit_here([sample for sample in samples if not sample.fell_back], siblings)
        away = [sample for sample in samples if sample.fell_back]
        elsewhere = cls._fit_here(away, siblings.elsewhere or PRIOR) if away else siblings.elsewhere
        if elsewhere is None:
            return here
        timings = ((sample.operator, sample.count, sample.fell_back) for sample in samples)
        fall_backs = FallBacks.fit(timings, siblings.fall_backs)
        seen = {name for name in here.seen_types if not fall_backs.expected_of_type(name)}
        seen |= {name for name in elsewhere.seen_types if fall_backs.expected_of_type(name)}
        return replace(
            here, seen_types=frozenset(seen), fall_backs=fall_backs, elsewhere=elsewhere, _cache={}
        )

    @classmethod
    def _fit_here(cls, samples: Sequence[OperatorSample], siblings: "OperatorModel") -> "OperatorModel":
        """Fit on samples that all ran in one place."""
        if not samples:
            return siblings
        if len(samples) > MOST_SAMPLES:
            kept = np.unique(np.linspace(0, len(samples) - 1, MOST_SAMPLES).astype(int))
            samples = [samples[index] for index in kept]
        operators = [sample.operator for sample in samples]
        counts = np.array([float(sample.count) for sample in samples])
        latency_us = np.maximum([sample.latency_us for sample in samples], FLOOR_US)
        common, lent = siblings.corrections[:1], dict(siblings.measured)
        shared = _added(common, operators) + _remembered(lent, operators)
        weights = np.minimum(np.sqrt(counts), _MOST_WEIGHT) / _MOST_WEIGHT
        law = CostLaw.fit(operators, latency_us / np.exp(shared), weights, siblings.law)
        residuals = np.log(latency_us) - law.log_latency_us(operators) - shared
        precision = 1.0 / (1.0 + (_RESOLUTION_US / latency_us) ** 2)
        own = Correction.fit(operators, residuals, precision, OWN if common else SHARED)
        residuals = residuals - own.predict(operators)
        measured = dict(lent)
        for sample, residual in zip(samples, residuals.tolist(), strict=True):
            signature = sample.operator.signature
            known = sample.count / (sample.count + _SHRINK_RUNS)
            measured[signature] = lent.get(signature, 0.0) + residual * known
        seen = frozenset(operator.op_type for operator in operators)
        return cls(law, (*common, own), measured, seen)

    def scaled(self, log_slower: float) -> "OperatorModel":
        """Return the model of a processor that is slower by a factor in everything."""
        return replace(self, law=self.law.scaled(log_slower), _cache={})

    def log_latency_us(self, operators: Sequence[Operator], *, remember: bool = True) -> Floats:
        """Return the log calm latency of each operator; `remember=False` ignores measured signatures."""
        if not operators:
            return np.empty(0)
        if not remember:
            return self._compute(operators, remember=False)
        fresh = [operator for operator in dict.fromkeys(operators) if operator not in self._cache]
        if fresh:
            if len(self._cache) + len(fresh) > _CACHE_SIZE:
                self._cache.clear()
                fresh = list(dict.fromkeys(operators))
            self._cache.update(zip(fresh, self._compute(fresh, remember=True).tolist(), strict=True))
        return np.array([self._cache[operator] for operator in operators])

    def _compute(self, operators: Sequence[Operator], *, remember: bool) -> Floats:
        logs = _bounded(self.law.log_latency_us(operators) + _added(self.corrections, operators))
        if remember:
            logs = _bounded(logs + _remembered(self.measured, operators))
        if self.elsewhere is not None:
            away = [place for place, operator in enumerate(operators) if self.fall_backs.expected(operator)]
            if away:
                chosen = [operators[place] for place in away]
                logs[away] = self.elsewhere._compute(chosen, remember=remember)
        return logs

    def was_measured(self, operator: Operator) -> bool:
        """Return whether this very operator was timed where it is expected to run."""
        if self.elsewhere is not None and self.fall_backs.expected(operator):
            return self.elsewhere.was_measured(operator)
        return operator.signature in self.measured

    def fallback(self, operators: Sequence[Operator]) -> tuple[str, ...]:
        """Return the operator types, sorted, that were never timed where they are expected to run."""
        return tuple(sorted({operator.op_type for operator in operators} - self.seen_types))

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain data."""
        return {
            "features_version": FEATURES_VERSION,
            "law": {node: list(rates) for node, rates in self.law.log_rates.items()},
            "parents": dict(self.law.parents),
            "corrections": [correction.to_json() for correction in self.corrections],
            "measured": dict(self.measured),
            "seen_types": sorted(self.seen_types),
            "fall_backs": self.fall_backs.to_json(),
            "elsewhere": None if self.elsewhere is None else self.elsewhere.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OperatorModel":
        """Rebuild a model; raise `ValueError` when it was fitted on another version of the features."""
        if data["features_version"] != FEATURES_VERSION:
            raise ValueError(
                f"fitted on operator features {data['features_version']}, not {FEATURES_VERSION}: refit"
            )
        elsewhere = data.get("elsewhere")
        return cls(
            CostLaw({node: tuple(rates) for node, rates in data["law"].items()}, data["parents"]),
            tuple(Correction.from_json(item) for item in data["corrections"]),
            dict(data["measured"]),
            frozenset(data["seen_types"]),
            FallBacks(**data.get("fall_backs", {})),
            None if elsewhere is None else cls.from_json(elsewhere),
        )


def _bounded(logs: Floats) -> Floats:
    return np.asarray(np.clip(logs, np.log(FLOOR_US), MOST_LOG), dtype=np.float64)


def _added(corrections: Sequence[Correction], operators: Sequence[Operator]) -> Floats:
    total = np.zeros(len(operators))
    for correction in corrections:
        total = total + correction.predict(operators)
    return total


def _remembered(measured: Mapping[str, float], operators: Sequence[Operator]) -> Floats:
    return np.array([measured.get(operator.signature, 0.0) for operator in operators])


PRIOR = OperatorModel()
"""A processor nobody has measured: the law's prior rates."""
