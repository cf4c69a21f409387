"""A calm profile: medians of what was timed, lines in MACs for the rest."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.cost import input_bytes, macs, output_bytes, weight_bytes
from predictors.graph import Operator
from predictors.learner import Prediction
from predictors.run import Run, RunQuery

Floats = NDArray[np.float64]
Line = tuple[float, float]

MOST_US = 1e12
"""Eleven days: no prediction exceeds it, so that sums stay finite."""


def as_bytes(content: Mapping[str, Any]) -> bytes:
    """Return plain data as canonical UTF-8 JSON: floats survive exactly, equal content gives equal bytes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def operator_timings(runs: Iterable[Run]) -> list[tuple[Operator, float]]:
    """Return every operator's timing of the runs whose operators were timed."""
    return [
        (operator, float(latency))
        for run in runs
        if len(run.latency_us) == len(run.query.operators)
        for operator, latency in zip(run.query.operators, run.latency_us, strict=True)
    ]


def prediction(operators_us: Floats, total_us: float | None = None) -> Prediction:
    """Return a prediction whose operators add up to `total_us` (their own sum where it is absent)."""
    latencies = np.clip(operators_us, 0.0, MOST_US)
    added = float(latencies.sum())
    if total_us is None:
        return Prediction(min(added, MOST_US), latencies)
    total = min(max(total_us, 0.0), MOST_US)
    return Prediction(total, latencies * (total / added) if added > 0 else latencies)


def model_key(query: RunQuery) -> str:
    """Return what a run's level is remembered by: its model, profiled and unprofiled runs apart."""
    return f"{query.model}|{'profiled' if query.profiled else 'plain'}"


def work(operator: Operator) -> float:
    """Return an operator's MACs, or the elements it moves where it computes nothing."""
    moved = (input_bytes(operator) + weight_bytes(operator) + output_bytes(operator)) / 4.0
    return macs(operator) or moved


def fit_line(amounts: Sequence[float], latencies_us: Sequence[float]) -> Line:
    """Return (fixed, per unit) of a least-squares line through non-negative points, neither negative."""
    x, y = np.asarray(amounts, dtype=np.float64), np.asarray(latencies_us, dtype=np.float64)
    spread = float(np.var(x))
    slope = max(float(np.mean((x - x.mean()) * (y - y.mean()))) / spread, 0.0) if spread > 0 else 0.0
    fixed = float(y.mean() - slope * x.mean())
    if fixed >= 0:
        return fixed, slope
    square = float(np.mean(x * x))
    return 0.0, float(np.mean(x * y)) / square if square > 0 else 0.0


@dataclass
class Profile:
    """Medians by operator and by whole model, with a line in MACs per operator type and one for all types."""

    operators_us: dict[str, float] = field(default_factory=dict)
    models_us: dict[str, float] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    typical_us: float = 1000.0

    @classmethod
    def fit(cls, runs: Sequence[Run]) -> "Profile":
        """Profile calm runs; no run at all gives an empty profile."""
        if not runs:
            return cls()
        by_signature: dict[str, list[float]] = defaultdict(list)
        by_type: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for operator, latency in operator_timings(runs):
            by_signature[operator.signature].append(latency)
            by_type[operator.op_type].append((work(operator), latency))
            by_type[""].append((work(operator), latency))
        by_model: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            by_model[model_key(run.query)].append(run.total_us)
        return cls(
            {signature: float(np.median(values)) for signature, values in by_signature.items()},
            {model: float(np.median(values)) for model, values in by_model.items()},
            {kind: fit_line(*zip(*points, strict=True)) for kind, points in by_type.items()},
            float(np.median([run.total_us for run in runs])),
        )

    def line_us(self, operator: Operator) -> float:
        """Return the latency by the line of the operator's type, of all types where it was never timed."""
        fixed, slope = self.lines.get(operator.op_type, self.lines.get("", (0.0, 1e-4)))
        return fixed + slope * work(operator)

    def operator_us(self, operator: Operator) -> float:
        """Return the operator's median, by its line where it was never timed."""
        median = self.operators_us.get(operator.signature)
        return self.line_us(operator) if median is None else median

    def predict(self, query: RunQuery) -> Prediction:
        """Return the model's median level, the sum of its operators where it was never run."""
        latencies = np.array([self.operator_us(operator) for operator in query.operators], dtype=np.float64)
        level = self.models_us.get(model_key(query))
        if level is None and not query.operators:
            level = self.typical_us
        return prediction(latencies, level)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as plain data."""
        return {
            "operators_us": self.operators_us,
            "models_us": self.models_us,
            "lines": {kind: list(line) for kind, line in self.lines.items()},
            "typical_us": self.typical_us,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Profile":
        """Rebuild a profile from plain data."""
        lines = {kind: (float(line[0]), float(line[1])) for kind, line in data["lines"].items()}
        return cls(dict(data["operators_us"]), dict(data["models_us"]), lines, data["typical_us"])
