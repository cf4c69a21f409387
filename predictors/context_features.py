"""A run's circumstances as a fixed-length vector: context, the run's own size, and the fast state.

Everything is relative to this processor's own calm level where a level exists (probes, frequency,
temperature), so that what was learned on one host holds on another. A missing sensor is NaN.
"""

from collections.abc import Mapping, Sequence
from math import log, nan

import numpy as np
from numpy.typing import NDArray

from predictors.calm_model import Calm
from predictors.run import Context, Run, RunQuery
from predictors.state_features import STATE_NAMES

Floats = NDArray[np.float64]

CONTEXT_FEATURES_VERSION = 3

RELATIVE = ("probe_memory_us", "probe_compute_us", "frequency_mhz", "temperature_c")
"""Context fields that enter as log(value / calm level)."""

PLAIN = (
    *(
        "processor_utilization",
        "cpu_utilization",
        "run_queue",
        "cpu_pressure",
        "memory_pressure",
        "co_running",
    ),
    *("cache_miss_rate", "load_average", "context_switches_per_s", "battery_fraction", "charging"),
    *("thermal_status", "screen_on", "first_run", "kv_cache_length", "batch_size"),
)
"""Context fields that enter as they are."""

CONTEXT_NAMES = (*RELATIVE, *PLAIN, "log_idle_before_us")
RUN_NAMES = ("log_calm_us", "profiled")
FROZEN_NAMES = (*CONTEXT_NAMES, *RUN_NAMES)
"""What a model without state may use. A run's own size is its calm length alone: anything that tells
networks apart (intensity, kernel sizes) would let trees memorise each network's residual as an effect of
context, which then misleads for networks nobody has measured."""

NAMES = (*FROZEN_NAMES, *STATE_NAMES)
"""The whole vector, in order; the first `len(FROZEN_NAMES)` components need no state."""


def calm_levels(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median of each relative context field over calm runs: the processor's own reference."""
    levels = {}
    for name in RELATIVE:
        values = [run.query.context[name] for run in runs if run.query.context.get(name, 0.0) > 0]
        if values:
            levels[name] = float(np.median(values))
    return levels


def context_vector(query: RunQuery, calm: Calm, levels: Mapping[str, float]) -> list[float]:
    """Return the components of `FROZEN_NAMES`."""
    context = query.context
    idle = context.get("idle_before_us")
    return [
        *(_relative(context, levels, name) for name in RELATIVE),
        *(context.get(name, nan) for name in PLAIN),
        nan if idle is None else log(1.0 + max(idle, 0.0)),
        calm.log_total_us,
        float(query.profiled),
    ]


def _relative(context: Context, levels: Mapping[str, float], name: str) -> float:
    value, level = context.get(name), levels.get(name)
    if value is None or level is None or value <= 0 or level <= 0:
        return nan
    return log(value) - log(level)
