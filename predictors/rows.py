"""From a finished run to what the context model learns: the run, and stretches cut from its start.

A profiled run of length L holds a measured run of every shorter length: its first operators, started in the
same circumstances. Learning from a few of them fills the gaps between the networks' own lengths, which is
what a network nobody has measured needs: preemption depends on how long a run is.
"""

from dataclasses import replace
from math import exp, log, nan

import numpy as np
from numpy.typing import NDArray

from predictors.buffer import Row
from predictors.calm_model import Calm
from predictors.device_state import DeviceState, group_of
from predictors.operator_model import FLOOR_US
from predictors.run import Run
from predictors.state_features import similar_residual
from predictors.version import PredictorVersion

Floats = NDArray[np.float64]

_STRETCHES = 3
_STRETCH_WEIGHT = 0.3
_LEAST_STRETCH_US = 3_000.0
_GOLDEN = 0.618033988749895


def rows_of(
    version: PredictorVersion, run: Run, before: DeviceState, predicted: float, number: int
) -> list[Row]:
    """Return the run's row, then those of stretches cut from it.

    `before` is the fast state and `predicted` the median stretch as they were when the run started; `number`
    only spreads the cuts.
    """
    query = run.query
    calm = version.calm.calm(query)
    stretch = log(max(run.total_us, FLOOR_US)) - calm.log_total_us
    features, expected = version.expected(query, before)
    wandering_log = before.bias.wandering_log * expected.share
    own = Row(
        number=0,
        features=features,
        stretch=stretch,
        group=group_of(query),
        weight=1.0,
        predicted=predicted,
        uncorrected=predicted - version.correction_gain * wandering_log,
        miss_log=wandering_log,
        state_log=similar_residual(calm, before),
        slowdown_log=before.slowdown_log(query.started_at_us),
        trees_log=expected.trees_log,
        fresh_log=expected.fresh.median if version.learned else nan,
        alone_log=expected.alone.median,
        calm_log_us=calm.log_total_us,
        condition=query.condition,
    )
    return [own, *(_cut(own, version, run, before, *cut) for cut in _cuts(run, calm, number))]


def _cut(  # noqa: PLR0917
    own: Row, version: PredictorVersion, run: Run, before: DeviceState, length_log: float, stretch: float
) -> Row:
    return replace(
        own,
        features=version.features_of_length(run.query, before, length_log),
        stretch=stretch,
        group="",
        weight=_STRETCH_WEIGHT,
        predicted=nan,
        trees_log=nan,
        fresh_log=nan,
        calm_log_us=length_log,
    )


def _cuts(run: Run, calm: Calm, number: int) -> list[tuple[float, float]]:
    """Return (log calm length, log measured over calm) of stretches of about log-uniform length."""
    timed = len(run.latency_us)
    if timed == 0 or timed != len(calm.log_operators_us) or calm.operators_us < 2.0 * _LEAST_STRETCH_US:
        return []
    expected = np.cumsum(np.exp(calm.log_operators_us))
    measured = np.cumsum(run.latency_us)
    cuts = []
    for step in range(_STRETCHES):
        share = ((number * _STRETCHES + step) * _GOLDEN) % 1.0
        length = _LEAST_STRETCH_US * exp(share * log(0.9 * expected[-1] / _LEAST_STRETCH_US))
        place = min(int(np.searchsorted(expected, length)), len(expected) - 1)
        ratio = max(float(measured[place]), FLOOR_US) / float(expected[place])
        cuts.append((log(float(expected[place])), log(ratio)))
    return cuts
