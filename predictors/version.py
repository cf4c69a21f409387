"""A predictor version: everything needed to forecast one key's runs, as immutable data.

    version = PredictorVersion.from_bytes(data)
    forecasts = version.forecast(query, state)          # {Rung.CALM: RunForecast, ...}
    state = version.absorb(state, run)                  # once the run is finished

Nothing here is trained or changed: `predictors.evaluate.TestThenTrain` makes new versions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.calm_model import Calm, CalmModel
from predictors.context_features import (
    CONTEXT_FEATURES_VERSION,
    FROZEN_NAMES,
    NAMES,
    context_vector,
    state_vector,
)
from predictors.context_model import LEVELS, ContextModel, Stretch
from predictors.device_state import DeviceState
from predictors.forecast import Coverage, LatencyForecast, RunForecast, Rung
from predictors.graph import Operator
from predictors.operator_model import FLOOR_US
from predictors.run import PredictorKey, Run, RunQuery

Floats = NDArray[np.float64]

FORMAT = 1
ALL_RUNGS = tuple(Rung)

_LOW, _HIGH = LEVELS.index(0.05), LEVELS.index(0.95)
_P90, _P99 = LEVELS.index(0.9), LEVELS.index(0.99)
_MOST_LOG_US = 25.0


@dataclass(frozen=True)
class Spread:
    """Frozen quantiles (at `LEVELS`) of log(total / point) and log E[ratio], where no model gives them."""

    quantiles: tuple[float, ...] = (-0.7, -0.25, 0.0, 0.25, 0.5, 0.7, 1.4)
    smear_log: float = 0.0


@dataclass(frozen=True)
class PredictorVersion:
    """Calm model, frozen comparisons and the learning runtime model of one predictor key."""

    key: PredictorKey
    calm: CalmModel = field(default_factory=CalmModel)
    levels: Mapping[str, float] = field(default_factory=dict)
    condition_log: Mapping[str, float] = field(default_factory=dict)
    context_frozen: ContextModel = field(default_factory=lambda: ContextModel(len(FROZEN_NAMES)))
    runtime: ContextModel = field(default_factory=lambda: ContextModel(len(NAMES)))
    spreads: Mapping[Rung, Spread] = field(default_factory=dict)
    trained_runs: int = 0

    @cached_property
    def _bytes(self) -> bytes:
        return json.dumps(self._to_json(), sort_keys=True, separators=(",", ":")).encode()

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the version's bytes."""
        return hashlib.sha256(self._bytes).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the version as UTF-8 JSON with LightGBM models as text inside; the same bytes every time."""
        return self._bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> "PredictorVersion":
        """Rebuild a version; raise `ValueError` when another format or feature version wrote it."""
        content = json.loads(data)
        written = (content["format"], content["context_features_version"])
        if written != (FORMAT, CONTEXT_FEATURES_VERSION):
            raise ValueError(f"predictor version of format {written} cannot be read here: refit it")
        return cls(
            PredictorKey(**content["key"]),
            CalmModel.from_json(content["calm"]),
            content["levels"],
            content["condition_log"],
            ContextModel.from_json(content["context_frozen"]),
            ContextModel.from_json(content["runtime"]),
            {
                Rung(rung): Spread(tuple(item["quantiles"]), item["smear_log"])
                for rung, item in content["spreads"].items()
            },
            content["trained_runs"],
        )

    def _to_json(self) -> dict[str, Any]:
        key = self.key
        return {
            "format": FORMAT,
            "context_features_version": CONTEXT_FEATURES_VERSION,
            "key": {"soc": key.soc, "processor": key.processor, "framework": key.framework},
            "calm": self.calm.to_json(),
            "levels": dict(self.levels),
            "condition_log": dict(self.condition_log),
            "context_frozen": self.context_frozen.to_json(),
            "runtime": self.runtime.to_json(),
            "spreads": {
                rung.value: {"quantiles": list(item.quantiles), "smear_log": item.smear_log}
                for rung, item in self.spreads.items()
            },
            "trained_runs": self.trained_runs,
        }

    def features(self, query: RunQuery, state: DeviceState) -> Floats:
        """Return the run-level vector, shape (len(NAMES),): circumstances first, then the fast state."""
        calm = self.calm.calm(query)
        return np.array([*context_vector(query, calm, self.levels), *state_vector(query, calm, state)])

    def forecast(
        self, query: RunQuery, state: DeviceState, rungs: Sequence[Rung] = ALL_RUNGS
    ) -> dict[Rung, RunForecast]:
        """Forecast a run on each rung from what is known before it starts; never raises on odd input."""
        calm = self.calm.calm(query)
        coverage = Coverage(calm.learned, calm.fallback)
        row = self.features(query, state)
        forecasts = {}
        for rung in rungs:
            total = self._total(rung, query, calm, state, row)
            scale = total.mean_us / exp(calm.log_total_us)
            forecasts[rung] = RunForecast(total, np.exp(calm.log_operators_us) * scale, coverage)
        return forecasts

    def operator_latencies_us(
        self, operators: Sequence[Operator], query: RunQuery, state: DeviceState, rung: Rung = Rung.RUNTIME
    ) -> Floats:
        """Return the conditional mean latency of each operator, shape (n,), in one batched call.

        `query` gives the processor's present context and the run they belong to (its model, whether
        profiled); `operators` may be any operators, splits included, not only those of `query`.
        """
        calm = self.calm.calm(query)
        total = self._total(rung, query, calm, state, self.features(query, state))
        return np.exp(self.calm.operators.log_latency_us(operators)) * (
            total.mean_us / exp(calm.log_total_us)
        )

    def absorb(self, state: DeviceState, run: Run) -> DeviceState:
        """Return the device's state after a finished run: the fast clock, constant time.

        Hand in runs of one device and processor in the order in which they ended.
        """
        calm = self.calm.calm(run.query)
        residual = log(max(run.total_us, FLOOR_US)) - calm.log_total_us
        return state.absorb(run, calm.log_total_us, residual, known=calm.known)

    def _total(
        self, rung: Rung, query: RunQuery, calm: Calm, state: DeviceState, row: Floats
    ) -> LatencyForecast:
        if rung is Rung.RUNTIME:
            return _from_stretch(calm, self.runtime, self.runtime.predict(row), exp(state.scale_log))
        if rung is Rung.CONTEXT_FROZEN:
            return _from_stretch(calm, self.context_frozen, self.context_frozen.predict(row), 1.0)
        shift = 0.0
        if rung is Rung.PER_CONDITION:
            shift = self.condition_log.get(query.condition or "", 0.0)
        elif rung is Rung.STATE_ONLY:
            shift = state.slowdown_log(query.started_at_us)
        spread = self.spreads.get(rung, Spread())
        point = calm.log_total_us + shift
        return _latency(point, [point + quantile for quantile in spread.quantiles], point + spread.smear_log)


def _from_stretch(calm: Calm, model: ContextModel, stretch: Stretch, widen: float) -> LatencyForecast:
    point = calm.log_total_us + stretch.median
    logs = [point + quantile * stretch.spread * widen for quantile in model.standard]
    return _latency(point, logs, calm.log_total_us + stretch.log_mean)


def _latency(point: float, logs: Sequence[float], log_mean: float) -> LatencyForecast:
    """Assemble a forecast whose quantiles are in order around the point; finite whatever was measured."""
    safe = [exp(min(max(value, -1.0), _MOST_LOG_US)) for value in (log_mean, point, *logs)]
    mean, p50, *quantiles = safe
    p90 = max(p50, quantiles[_P90])
    low, high = min(p50, quantiles[_LOW]), max(p90, quantiles[_HIGH])
    return LatencyForecast(mean, p50, p90, max(high, quantiles[_P99]), low, high)
