"""Why a prediction missed: the error of a run split into the parts of the model, and what to profile next.

log(measured / predicted) = mapping + operators + overhead + context + state

The parts add up exactly. Mapping is what operators without a predictor of their own account for, operators
what the known ones do, overhead what lies between and around the operators, state what the fast state moved
the prediction by, and context what the circumstances explain wrongly: what is left.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from predictors.device_state import DeviceState
from predictors.forecast import Rung
from predictors.operator_model import FLOOR_US
from predictors.run import Run
from predictors.version import PredictorVersion

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Miss:
    """log(measured / predicted) of one run on the runtime rung and its parts, which add up to `total`."""

    total: float
    mapping: float
    operators: float
    overhead: float
    context: float
    state: float


PARTS = ("mapping", "operators", "overhead", "context", "state")


@dataclass(frozen=True)
class MissSummary:
    """What misses of a group of runs have in common.

    `mean_abs_log_ratio` is their mean size and `mean_log_ratio` their mean (above 0: slower than predicted);
    `parts` holds the mean of each of `PARTS`, which add up to `mean_log_ratio`, and `shares` (0 to 1) how
    much of all parts' sizes each one makes.
    """

    n: int
    mean_abs_log_ratio: float
    mean_log_ratio: float
    parts: Mapping[str, float]
    shares: Mapping[str, float]


@dataclass(frozen=True)
class ProfileNext:
    """Operators to time in calm conditions: how much of the error, in microseconds, they stand for."""

    op_type: str
    signature: str
    unexplained_us: float
    runs: int


def explain(version: PredictorVersion, run: Run, before: DeviceState) -> Miss:
    """Split a run's miss; `before` is the device's state when it started.

    A run whose operators were not timed cannot tell operators from circumstances: its mapping, operators and
    overhead are 0 and the whole miss is context and state.
    """
    calm = version.calm.calm(run.query)
    forecast = version.forecast(run.query, before, (Rung.RUNTIME,))[Rung.RUNTIME]
    total = log(max(run.total_us, FLOOR_US) / forecast.total.p50_us)
    state = version.correction_log(run.query, before)
    timed = len(run.latency_us)
    if timed == 0 or timed != len(calm.log_operators_us):
        return Miss(total, 0.0, 0.0, 0.0, total + state, -state)
    measured, expected = run.latency_us, np.exp(calm.log_operators_us)
    steady = _steady_stretch(measured, expected)
    unknown = np.array([operator.op_type in calm.fallback for operator in run.query.operators])
    misses = measured - expected * steady
    scale = max(float(measured.sum()), FLOOR_US)
    operator_log = log(scale / max(float((expected * steady).sum()), FLOOR_US))
    share = float(np.abs(misses[unknown]).sum() / max(float(np.abs(misses).sum()), 1e-9))
    gaps = log(max(run.total_us, FLOOR_US) / scale) - (
        calm.log_total_us - log(max(calm.operators_us, FLOOR_US))
    )
    context = total - operator_log - gaps + state
    return Miss(total, operator_log * share, operator_log * (1.0 - share), gaps, context, -state)


def summary(misses: Sequence[Miss]) -> MissSummary:
    """Return what misses, at least one, have in common."""
    parts = np.array([[getattr(miss, name) for name in PARTS] for miss in misses])
    totals = np.array([miss.total for miss in misses])
    sizes = np.abs(parts).sum(axis=0)
    whole = max(float(sizes.sum()), 1e-12)
    return MissSummary(
        len(misses),
        float(np.abs(totals).mean()),
        float(totals.mean()),
        dict(zip(PARTS, parts.mean(axis=0).tolist(), strict=True)),
        dict(zip(PARTS, (sizes / whole).tolist(), strict=True)),
    )


def profile_next(version: PredictorVersion, runs: Sequence[Run], count: int = 10) -> list[ProfileNext]:
    """Return the operators whose calm timing would shrink the error most, the worst first.

    What all operators of a run share (its steady stretch) is circumstance and not counted against any.
    """
    sums: dict[str, float] = defaultdict(float)
    seen: dict[str, int] = defaultdict(int)
    types: dict[str, str] = {}
    for run in runs:
        calm = version.calm.calm(run.query)
        if len(run.latency_us) == 0 or len(run.latency_us) != len(calm.log_operators_us):
            continue
        expected = np.exp(calm.log_operators_us)
        misses = np.abs(run.latency_us - expected * _steady_stretch(run.latency_us, expected))
        for operator, miss in zip(run.query.operators, misses.tolist(), strict=True):
            sums[operator.signature] += miss
            seen[operator.signature] += 1
            types[operator.signature] = operator.op_type
    worst = sorted(sums, key=lambda signature: (-sums[signature], signature))[:count]
    return [ProfileNext(types[s], s, sums[s] / seen[s], seen[s]) for s in worst]


def _steady_stretch(measured: Floats, expected: Floats) -> float:
    """Return the factor that most of a run's time was stretched by: the median weighted by expected time."""
    ratios = np.maximum(measured, FLOOR_US) / np.maximum(expected, FLOOR_US)
    order = np.argsort(ratios)
    reached = np.cumsum(expected[order])
    middle = int(np.searchsorted(reached, 0.5 * reached[-1]))
    return float(ratios[order][min(middle, len(order) - 1)])
