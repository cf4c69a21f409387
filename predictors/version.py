"""A predictor version: everything needed to forecast one key's runs, as immutable data.

    version = PredictorVersion.from_bytes(data)
    forecasts = version.forecast(query, state)          # {Rung.CALM: RunForecast, ...}
    state = version.absorb(state, run)                  # once the run is finished

Nothing here is trained or changed: `predictors.evaluate.TestThenTrain` makes new versions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import exp, hypot, log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.alarms import signs_of
from predictors.breaks import Breaks
from predictors.calm_model import Calm, CalmModel
from predictors.conformal import (
    NO_WIDTHS,
    NOT_CALIBRATED,
    UNTRIED_SCORES,
    Calibration,
    Spread,
    doubted,
    widened,
)
from predictors.context_features import CONTEXT_FEATURES_VERSION, FROZEN_NAMES, NAMES, context_vector
from predictors.context_model import ContextModel, Stretch
from predictors.device_state import DeviceState, group_of
from predictors.doubt import RELATIVES, Grounds, is_cpu
from predictors.expectation import Expectation, around, from_stretch, untried
from predictors.forecast import Coverage, LatencyForecast, RunForecast, Rung
from predictors.graph import Operator
from predictors.operator_model import FLOOR_US, OperatorSample
from predictors.operator_scatter import DEFAULT_SCATTER, OperatorScatter
from predictors.run import PredictorKey, Run, RunQuery
from predictors.software import current, merged
from predictors.state_features import similar_residual, state_vector
from predictors.trust import CALM_AND_STATE, Trust

Floats = NDArray[np.float64]

FORMAT = 8
ALL_RUNGS = tuple(Rung)

_PLAIN_FIELDS = (
    *(
        "levels",
        "condition_log",
        "correction_gain",
        "calm_source",
        "calm_runs",
        "calm_final",
        "comparisons_final",
    ),
    "trained_runs",
)


@dataclass(frozen=True, slots=True)
class Score:
    """How far the runtime rung missed a run: the miss (log), the same over its spread, what announced it."""

    miss_log: float
    value: float
    signs: Floats


@dataclass(frozen=True)
class PredictorVersion:
    """Calm model, frozen comparisons and the learning runtime model of one predictor key."""

    key: PredictorKey
    calm: CalmModel = field(default_factory=CalmModel)
    levels: Mapping[str, float] = field(default_factory=dict)
    condition_log: Mapping[str, float] = field(default_factory=dict)
    context_frozen: ContextModel = field(default_factory=lambda: ContextModel(len(FROZEN_NAMES)))
    runtime: ContextModel = field(default_factory=lambda: ContextModel(len(NAMES)))
    stateless: ContextModel = field(default_factory=lambda: ContextModel(len(FROZEN_NAMES)))
    """What the runtime rung falls back on for a device of which nothing recent is known."""
    spreads: Mapping[Rung, Spread] = field(default_factory=dict)
    calibration: Calibration = NOT_CALIBRATED
    """How far the runtime rung misses, in spreads; before it is known, what the trees left over."""
    scatters: Mapping[Rung, OperatorScatter] = field(default_factory=dict)
    """How single operators scatter around their means on each rung."""
    correction_gain: float = 0.5
    """How much of the state's mean recent miss the next run is expected to show (0 to 1)."""
    breaks: Breaks = field(default_factory=Breaks)
    """When the newest runs stop telling the next one, and context alone does."""
    trust: Trust = CALM_AND_STATE
    """How far the runtime rung rests on its trees and on recent runs while the state is fresh."""
    samples: tuple[OperatorSample, ...] = ()
    """What calm runs measured of operators: from it a restarted learner knows what siblings start from."""
    calm_source: str = "physical prior"
    calm_runs: int = 0
    calm_final: bool = False
    """Whether the calm rung is frozen."""
    comparisons_final: bool = False
    """Whether the per-condition and context-frozen rungs are frozen."""
    software: tuple[str, ...] = ()
    """Versions below the model that were learned from, as `name version`, newest last."""
    trained_runs: int = 0
    """Runs that this version rests on; 0 for the physical prior alone."""
    _newest: list[tuple[RunQuery, DeviceState, Floats, Expectation]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @cached_property
    def trees_reference(self) -> str:
        """Eight characters that tell the trees of the runtime rung from others."""
        trees = [self.runtime.to_json(), self.stateless.to_json()]
        return hashlib.sha256(json.dumps(trees, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def learned(self) -> bool:
        """Whether the runtime rung has trees of its own, and context alone has too."""
        return self.runtime.median is not None and self.stateless.median is not None

    @property
    def live_runs(self) -> int:
        """Runs that it rests on beyond its calm profile."""
        return max(self.trained_runs - self.calm_runs, 0)

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
            key=PredictorKey(**content["key"]),
            calm=CalmModel.from_json(content["calm"]),
            context_frozen=ContextModel.from_json(content["context_frozen"]),
            runtime=ContextModel.from_json(content["runtime"]),
            stateless=ContextModel.from_json(content["stateless"]),
            trust=Trust(**content["trust"]),
            breaks=Breaks(tuple(content["breaks"]["weights"]), content["breaks"]["scale"]),
            spreads={
                Rung(rung): Spread(tuple(item["quantiles"]), item["smear_log"])
                for rung, item in content["spreads"].items()
            },
            calibration=Calibration.from_json(content["calibration"]),
            scatters={
                Rung(rung): OperatorScatter.from_json(rows) for rung, rows in content["scatters"].items()
            },
            software=tuple(content["software"]),
            samples=tuple(OperatorSample.from_json(item) for item in content["samples"]),
            **{name: content[name] for name in _PLAIN_FIELDS},
        )

    def _to_json(self) -> dict[str, Any]:
        key = self.key
        return {
            "format": FORMAT,
            "context_features_version": CONTEXT_FEATURES_VERSION,
            "key": {"soc": key.soc, "processor": key.processor, "framework": key.framework},
            "calm": self.calm.to_json(),
            "context_frozen": self.context_frozen.to_json(),
            "runtime": self.runtime.to_json(),
            "stateless": self.stateless.to_json(),
            "trust": asdict(self.trust),
            "breaks": asdict(self.breaks),
            "spreads": {
                rung.value: {"quantiles": list(item.quantiles), "smear_log": item.smear_log}
                for rung, item in self.spreads.items()
            },
            "calibration": asdict(self.calibration),
            "scatters": {rung.value: scatter.to_json() for rung, scatter in self.scatters.items()},
            "software": list(self.software),
            "samples": [sample.to_json() for sample in self.samples],
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
        }

    def features_of_length(self, query: RunQuery, state: DeviceState, log_calm_us: float) -> Floats:
        """Return the vector of a run in the same circumstances but of another calm length."""
        calm = replace(self.calm.calm(query), log_total_us=log_calm_us, known=False)
        return self._features(query, calm, self._valid(state, query))

    def _features(self, query: RunQuery, calm: Calm, state: DeviceState) -> Floats:
        return np.array([*context_vector(query, calm, self.levels), *state_vector(query, calm, state)])

    def _valid(self, state: DeviceState, query: RunQuery) -> DeviceState:
        """Return the state as it counts now: relative to this calm profile, these trees and this software."""
        return current(state, query, self.calm.reference, self.trees_reference)

    def expectation(self, row: Floats, group: str, state_log: float) -> Expectation:
        """Return log(total / calm) before the correction by recent misses.

        While the state is fresh, trees and recent runs (`state_log`) as far as each is trusted; as far as it
        is not, context alone.
        """
        alone, trust = self.stateless.predict(row, group), self.trust
        fresh = self.runtime.predict(row, group)
        trees_log = fresh.median if self.runtime.median is not None else nan
        fresh = Stretch(trust.trees * fresh.median, fresh.spread, trust.trees * fresh.log_mean).shifted(
            trust.state * state_log
        )
        share = self.breaks.share(row)
        blended = fresh.blended(alone, share, self.breaks.stays(row))
        return Expectation(blended, fresh, alone, share, trees_log)

    def expected(self, query: RunQuery, state: DeviceState) -> tuple[Floats, Expectation]:
        """Return a run's vector and what the runtime rung expects of it; the newest answer is remembered.

        The vector has shape (len(NAMES),): circumstances first, then the fast state.
        """
        hit = self._newest[0] if self._newest else None
        if hit is not None and hit[0] is query and hit[1] is state:
            return hit[2], hit[3]
        calm, valid = self.calm.calm(query), self._valid(state, query)
        row = self._features(query, calm, valid)
        expected = self.expectation(row, group_of(query), similar_residual(calm, valid))
        self._newest[:] = [(query, state, row, expected)]
        return row, expected

    def forecast(
        self, query: RunQuery, state: DeviceState, rungs: Sequence[Rung] = ALL_RUNGS
    ) -> dict[Rung, RunForecast]:
        """Forecast a run on each rung from what is known before it starts; never raises on odd input."""
        calm = self.calm.calm(query)
        coverage = Coverage(calm.learned, calm.fallback)
        forecasts = {}
        for rung in rungs:
            doubt_log = self.doubt_log(query, rung)
            total = self._total(rung, query, calm, state, doubt_log)
            scale = total.mean_us / exp(calm.log_total_us)
            forecasts[rung] = RunForecast(
                total,
                np.exp(calm.log_operators_us) * scale,
                coverage,
                self.scatters.get(rung, DEFAULT_SCATTER),
                log(scale),
                self._valid(state, query).widths if rung is Rung.RUNTIME else NO_WIDTHS,
                doubt_log,
            )
        return forecasts

    def operator_latencies_us(
        self, operators: Sequence[Operator], query: RunQuery, state: DeviceState, rung: Rung = Rung.RUNTIME
    ) -> Floats:
        """Return the conditional mean latency of each operator, shape (n,), in one batched call.

        `query` gives the processor's present context and the run they belong to (its model, whether
        profiled); `operators` may be any operators, splits included, not only those of `query`.
        """
        calm = self.calm.calm(query)
        total = self._total(rung, query, calm, state, 0.0)
        return np.exp(self.calm.operators.log_latency_us(operators)) * (
            total.mean_us / exp(calm.log_total_us)
        )

    def correction_log(self, query: RunQuery, state: DeviceState) -> float:
        """Return what recent misses add to the runtime rung's log, as far as the state still counts."""
        share = self.expected(query, state)[1].share
        return share * self._valid(state, query).bias.correction_log(self.correction_gain)

    @cached_property
    def grounds(self) -> Grounds:
        """What its levels rest on: where they do not, intervals are wider."""
        operators = self.calm.operators
        return Grounds(
            networks=len(self.calm.known),
            types=operators.seen_types,
            met=frozenset(self.runtime.offsets),
            lent=bool(operators.law.log_rates),
            cpu=is_cpu(self.key.processor),
        )

    def doubt_log(self, query: RunQuery, rung: Rung) -> float:
        """Return how far off (standard deviation, log) all of a rung's answer may be; 0 if it was measured.

        A query of another key asks what this processor tells of a relative.
        """
        calm, later = self.calm.calm(query), rung is Rung.RUNTIME
        own = self.grounds.doubt_log(query, calm.log_operators_us, known=calm.known, later=later)
        return own if query.key == self.key else max(own, RELATIVES)

    @property
    def standard(self) -> tuple[float, ...]:
        """Quantiles (at `LEVELS`) of the runtime rung's miss over its spread, before any widening."""
        return self.calibration.quantiles or UNTRIED_SCORES

    def absorb(self, state: DeviceState, run: Run) -> DeviceState:
        """Return the device's state after a finished run: the fast clock, constant time.

        Hand in runs of one device and processor in the order in which they ended.
        """
        return self.absorb_scored(state, run)[0]

    def absorb_scored(self, state: DeviceState, run: Run) -> tuple[DeviceState, Score]:
        """Return the state after a finished run, and how far the runtime rung missed it."""
        query, calm = run.query, self.calm.calm(run.query)
        residual = log(max(run.total_us, FLOOR_US)) - calm.log_total_us
        row, expected = self.expected(query, state)
        stretch = expected.stretch
        miss, correction = residual - stretch.median, self.correction_log(query, state)
        state = self._valid(state, query)
        spread, doubt_log = untried(stretch, self.live_runs).spread, self.doubt_log(query, Rung.RUNTIME)
        missed = miss - correction
        score = Score(missed, missed / hypot(spread, doubt_log), signs_of(row))
        alarm = self.calibration.alarm(score.signs)
        widths = state.widths
        if not query.calibration:
            # An idle device tells nothing of how far runs under load will be off.
            scale = alarm * spread
            widths = widths.after_run(missed / scale, self.standard, doubt_log / scale)
        if 0 < len(run.latency_us) == len(calm.log_operators_us):
            stretch_log = stretch.log_mean + correction
            operators_us = np.exp(calm.log_operators_us + stretch_log)
            scatter = self.scatters.get(Rung.RUNTIME, DEFAULT_SCATTER)
            held = scatter.inside(run.latency_us, operators_us, stretch_log, widths.operators, doubt_log)
            widths = widths.after_operators(held)
        broke = self.breaks.broke(row, residual - expected.fresh.median, residual - expected.alone.median)
        bias = state.bias.after(miss, stretch.spread, expected.share)
        kept = state.anew() if broke else replace(state, bias=bias)
        absorbed = kept.absorb(
            run, calm.log_total_us, residual, known=calm.known, reference=self.calm.reference
        )
        return replace(absorbed, widths=widths, software=merged(state.software, query)), score

    def _total(
        self, rung: Rung, query: RunQuery, calm: Calm, state: DeviceState, doubt_log: float
    ) -> LatencyForecast:
        if rung is Rung.RUNTIME:
            row, expected = self.expected(query, state)
            shifted = untried(expected.stretch, self.live_runs).shifted(self.correction_log(query, state))
            factor = self.calibration.alarm(signs_of(row))
            standard = factor * widened(self.standard, self._valid(state, query).widths.run)
            reach = self.calibration.reach_log / shifted.spread
            standard = doubted(np.clip(standard, -reach, reach), doubt_log / shifted.spread)
            return from_stretch(calm, shifted, standard)
        if rung is Rung.CONTEXT_FROZEN:
            frozen, row = self.context_frozen, self.expected(query, state)[0]
            stretch = frozen.predict(row, group_of(query))
            return from_stretch(calm, stretch, doubted(frozen.standard, doubt_log / stretch.spread))
        shift = 0.0
        if rung is Rung.PER_CONDITION:
            shift = self.condition_log.get(query.condition or "", 0.0)
        elif rung is Rung.STATE_ONLY:
            shift = self._valid(state, query).slowdown_log(query.started_at_us)
        spread = self.spreads.get(rung, Spread())
        point = calm.log_total_us + shift
        return around(point, point + doubted(spread.quantiles, doubt_log), point + spread.smear_log)
